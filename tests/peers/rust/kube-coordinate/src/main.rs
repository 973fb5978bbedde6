//! A candidate: arguments `NAMESPACE LEASE HOLDER TTL_SECONDS`; `KUBECONFIG` names the server.
//! Prints each change of its role; ends at SIGTERM, which leaves the Lease as it is.

use std::{env, error::Error, time::Duration};

use kube::Client;
use kube_coordinate::{Config, LeaderElector, LeaderState};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [namespace, lease, holder, ttl] = arguments.as_slice() else {
        return Err("arguments: NAMESPACE LEASE HOLDER TTL_SECONDS".into());
    };
    let ttl = Duration::from_secs(ttl.parse()?);
    let config = Config::default()
        .namespace(namespace)
        .name(lease)
        .identity(holder)
        .manager("peer")
        .lease_duration(ttl)
        .renew_deadline(ttl * 2 / 3)
        .retry_period(Duration::from_secs(1));
    let mut terminate = signal(SignalKind::terminate())?;
    let elector = LeaderElector::spawn(config, Client::try_default().await?)?;
    let mut state = elector.state();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            changed = state.changed() => changed?,
        }
        match *state.borrow_and_update() {
            LeaderState::Leading => println!("leading"),
            LeaderState::Following => println!("following"),
            LeaderState::Standby => println!("standby"),
        }
    }
    elector.shutdown().await?;
    Ok(())
}
