"""Makes httproute.schema.json of the Gateway API's CRD, config/crd/standard/gateway.networking.k8s.io_httproutes.yaml of kubernetes-sigs/gateway-api v1.6.1
(Apache-2.0), on standard input: the OpenAPI schema of v1 without descriptions, defaults and what only Kubernetes reads. Objects take no other fields, which Kubernetes
would drop."""

import json
import sys

import yaml


def shape(schema):
    out = {k: v for k, v in schema.items() if k not in ("description", "default") and not k.startswith("x-")}
    if "properties" in out:
        out["properties"] = {name: shape(p) for name, p in out["properties"].items()}
        out["additionalProperties"] = False
    if "items" in out:
        out["items"] = shape(out["items"])
    return out


crd = yaml.safe_load(sys.stdin)
version = next(v for v in crd["spec"]["versions"] if v["name"] == "v1")
print(json.dumps(shape(version["schema"]["openAPIV3Schema"]), indent=1, sort_keys=True))
