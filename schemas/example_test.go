package schemas_test

import (
	"fmt"
	"strings"

	"streamcanary/schemas"
)

func ExampleParseRollout() {
	file := `
metadata: {name: ranker-42}
spec:
  model: ranker
  baseline: {version: "41"}
  canary: {version: "42"}
  guardrails:
    - {name: errors, rate: error, increase: 0.5}
    - {name: p99, quantile: 0.99, of: latency, increese: 20%}
`
	_, err := schemas.ParseRollout("rollout.yaml", []byte(file))
	fmt.Println(err)
	// Output:
	// rollout.yaml:8:45: spec.guardrails[0].increase: 0.5 has no unit: write e.g. 0.5pp (percentage points), 20% (of the baseline's), or any
	// rollout.yaml:9:48: spec.guardrails[1].increese: unknown key: did you mean increase?
}

func ExampleTrust_Verify() {
	key, err := schemas.NewSigningKey(strings.NewReader("32 bytes that nobody could guess"))
	if err != nil {
		panic(err)
	}
	trust, err := schemas.ParseTrust("trust", []byte(key.TrustLine()))
	if err != nil {
		panic(err)
	}
	signed := key.Sign([]byte(`{"action":"rollback"}`))
	fmt.Println(trust.Verify(signed))
	signed.Body = []byte(`{"action":"promote"}`)
	fmt.Println(trust.Verify(signed))
	// Output:
	// <nil>
	// verify: key 2fe6ff97506f3777, body of 20 bytes: signature doesn't fit the bytes
}
