//! A candidate: arguments `NAMESPACE LEASE HOLDER TTL_SECONDS`; `KUBECONFIG` names the server.
//! Prints each change of its role; steps down at SIGTERM.

use std::{env, error::Error, time::Duration};

use kube::Client;
use kube_leader_election::{LeaseLock, LeaseLockParams, LeaseLockResult};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

const POLL: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [namespace, lease, holder, ttl] = arguments.as_slice() else {
        return Err("arguments: NAMESPACE LEASE HOLDER TTL_SECONDS".into());
    };
    let params = LeaseLockParams {
        holder_id: holder.clone(),
        lease_name: lease.clone(),
        lease_ttl: Duration::from_secs(ttl.parse()?),
    };
    let lock = LeaseLock::new(Client::try_default().await?, namespace, params);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut role = "";
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = poll.tick() => {}
        }
        let new_role = match lock.try_acquire_or_renew().await {
            Ok(LeaseLockResult::Acquired(_)) => "leading",
            Ok(LeaseLockResult::NotAcquired(_)) => "following",
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        if new_role != role {
            println!("{new_role}");
            role = new_role;
        }
    }
    if role == "leading" {
        lock.step_down().await?;
    }
    Ok(())
}
