package schemas

// Band bounds one arm's own quantile over the last hour at most, in 95 % of all bands that are looked at as often as one likes while
// the stretch grows. For display only: it holds while values are independent and of one law, which latencies of a day aren't, and no decision
// stands on it; two bands that don't overlap prove nothing. What is decided by is the guardrail's own contrast, or limit.
type Band struct {
	DisplayOnly bool     `json:"display_only"` // always true
	Guardrail   string   `json:"guardrail"`
	Version     string   `json:"version"`
	Quantile    float64  `json:"quantile"`
	Unit        string   `json:"unit"`  // ms or number
	Lower       *float64 `json:"lower"` // nil: no bound
	Upper       *float64 `json:"upper"`
	N           int64    `json:"n"`
	From        Time     `json:"from"`
	To          Time     `json:"to"`
}
