#!/usr/bin/env bash
# End to end: the built binary as a process, killed and restarted, against the broker of the tests (kfake) and, where there is
# one, against a real Kafka: KAFKA_BOOTSTRAP names it, or Java and ../shared/kafka/start-kafka.sh start it here.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=$PWD/bin/streamcanary
launcher=../shared/kafka/start-kafka.sh
started=

stop() { if [ -n "$started" ]; then "$launcher" stop >/dev/null 2>&1 || true; fi; }
trap stop EXIT

if [ -z "${KAFKA_BOOTSTRAP:-}" ] && command -v java >/dev/null 2>&1 && [ -x "$launcher" ]; then
	if "$launcher" status >/dev/null 2>&1; then out=$("$launcher" status); else out=$("$launcher" start) && started=yes; fi
	KAFKA_BOOTSTRAP=$(sed -n 's/^KAFKA_BOOTSTRAP=//p' <<<"$out")
	export KAFKA_BOOTSTRAP
fi
if [ -n "${KAFKA_BOOTSTRAP:-}" ]; then
	echo "end to end: against the tests' own broker and the Kafka at $KAFKA_BOOTSTRAP"
else
	echo "end to end: against the tests' own broker only; a real Kafka needs KAFKA_BOOTSTRAP, or Java and $launcher"
fi

STREAMCANARY_BINARY=$binary go test -tags e2e ./cmd/... ./ingest/kafka -run 'E2E|RealKafka' -count=1 -timeout 25m -v
