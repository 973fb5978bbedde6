#!/bin/sh
# Three replicas of beat and a worker on a laptop, until Ctrl-C. Needs redis-server, and
# pip install 'kube-leader-election[celery]' 'celery[redis]'
cd "$(dirname "$0")" || exit
folder=$(mktemp -d)
trap 'rm -rf "$folder"; trap - TERM; kill 0' EXIT INT TERM
export KUBECONFIG="$folder/kubeconfig" BROKER_URL="redis://localhost:${REDIS_PORT:-6399}/0"

redis-server --port "${REDIS_PORT:-6399}" --save '' --dir "$folder" >"$folder/redis.log" &
python -m kube_leader_election serve --kubeconfig "$KUBECONFIG" &
until [ -s "$KUBECONFIG" ]; do sleep 0.1; done

for replica in 1 2 3; do
    celery -A app beat --loglevel INFO --pidfile= 2>&1 | sed -u "s/^/beat $replica: /" &
done
celery -A app worker --loglevel WARNING --pool solo &
wait
