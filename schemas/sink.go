package schemas

import "slices"

// SinkKind says what a sink is.
type SinkKind string

// The kinds of sinks. The first three change something outside: a registry, or where traffic goes. The others tell people.
const (
	SinkMLflow       SinkKind = "mlflow"       // a model registry: alias, stage and tags
	SinkHTTPRoute    SinkKind = "httproute"    // weights in a Gateway API HTTPRoute
	SinkEnvoy        SinkKind = "envoy"        // weights in a file that Envoy watches
	SinkWebhook      SinkKind = "webhook"      // everything, signed, as JSON
	SinkSlack        SinkKind = "slack"        // an incoming webhook of Slack
	SinkPagerDuty    SinkKind = "pagerduty"    // Events API v2
	SinkAlertmanager SinkKind = "alertmanager" // Alertmanager's API v2
)

var sinkKinds = []SinkKind{SinkMLflow, SinkHTTPRoute, SinkEnvoy, SinkWebhook, SinkSlack, SinkPagerDuty, SinkAlertmanager}

// Changes says whether sinks of the kind change something outside, and don't only tell: those do nothing where a rollout only advises.
func (k SinkKind) Changes() bool { return k == SinkMLflow || k.Routes() }

// Routes says whether sinks of the kind move traffic: their answers count as a router's.
func (k SinkKind) Routes() bool { return k == SinkHTTPRoute || k == SinkEnvoy }

// A Sink is a system outside that hears of decisions and notices, or is changed by them, as the configuration names it.
type Sink struct {
	Name string // the consumer in its acks
	Kind SinkKind
	Server
	Secret SecretRef
	File   string // of SinkEnvoy
	Layer  string // of SinkEnvoy: the name of the runtime layer
}

// A SinkUse is what a rollout wants of a sink.
type SinkUse struct {
	Kind      SinkKind
	Sink      string // its name in the configuration
	Name      string // of SinkMLflow: the registered model; of SinkHTTPRoute: the route
	Namespace string // of SinkHTTPRoute
	Alias     string // of SinkMLflow: that of the version that serves; "": none is moved
	Candidate string // of SinkMLflow: that of the canary, taken away when its test is over; "": none
	Stage     string // of SinkMLflow: that of the version that serves; "": none is changed
	Prefix    string // of SinkEnvoy: the runtime_key_prefix of the route's weighted_clusters
	// Baseline and Canary are what the system calls the two versions: versions of the registered model, backends, clusters. "" of sinks that tell.
	Baseline, Canary string
}

// Sink is the configuration's sink of a name; nil: there is none.
func (c *Config) Sink(name string) *Sink {
	i := slices.IndexFunc(c.Sinks, func(s Sink) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Sinks[i]
}

// Sink is what the rollout wants of a sink; nil: nothing.
func (r *Rollout) Sink(name string) *SinkUse {
	i := slices.IndexFunc(r.Sinks, func(u SinkUse) bool { return u.Sink == name })
	if i < 0 {
		return nil
	}
	return &r.Sinks[i]
}
