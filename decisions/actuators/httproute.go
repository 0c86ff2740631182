package actuators

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"streamcanary/schemas"
)

var _ = register(schemas.SinkHTTPRoute, openHTTPRoute)

// httproute sets the weights of two backendRefs in a Gateway API HTTPRoute (v1), by reading it, changing the weights, and putting it back with its resourceVersion. Both
// backends stay in the route, with a weight of 0 where one gets nothing: a rule with a single backendRef sends it everything, whatever its weight. All else in the
// route stays as it is, but for the annotation streamcanary.dev/decision.
type httproute struct{ *courier }

const decisionAnnotation = "streamcanary.dev/decision"

// noSuchPath is what the Kubernetes API answers where no resource is that it knows.
const noSuchPath = "404 page not found"

// A route that somebody else changed meanwhile is read again and written again: rereads times at least, and as often as there is time, which ends long before the decision's answer is due, so that
// writers who come and go (a controller that writes the route's status counts as one) are no failure. The first time at once, then after pauses: the first, doubled each time, up to the longest.
const (
	rereads       = 5
	rereadFor     = 5 * time.Second // at most: a newer decision waits meanwhile
	firstReread   = 10 * time.Millisecond
	longestReread = 250 * time.Millisecond
)

func openHTTPRoute(c *courier) (Actuator, error) {
	c.explain = explainHTTPRoute
	return httproute{c}, nil
}

// explainHTTPRoute reads a metav1.Status of the Kubernetes API, whose message says it best. What isn't there may be made at any time, and then it is found.
func explainHTTPRoute(f *Failure, body []byte) {
	var status struct {
		Kind, Reason, Message string
		Details               struct{ Name string }
	}
	const unknown = "the cluster knows no HTTPRoute of gateway.networking.k8s.io/v1: install the Gateway API, or look whether url is the right cluster's"
	if json.Unmarshal(body, &status) != nil || status.Kind != "Status" {
		if strings.TrimSpace(string(body)) == noSuchPath {
			f.why += ": " + unknown
		}
		return
	}
	f.why = strings.Replace(f.why, shown(body), shown([]byte(status.Message)), 1)
	switch {
	case status.Reason == "NotFound" && status.Details.Name == "":
		f.why = unknown
	case status.Reason == "NotFound":
		f.why = "the cluster has no HTTPRoute of this name in this namespace: make it, with both backendRefs, or mend namespace and name in spec.sinks"
	}
}

// Act sets the weights of a decision that has routes. What others change meanwhile stays.
func (h httproute) Act(ctx context.Context, e *Event) error {
	s, asked, err := splitOf(e)
	if err != nil || !asked {
		return err
	}
	begun, within, pause := time.Now(), min(rereadFor, e.Rollout.Acks.Within/2), time.Duration(0)
	for n := 1; ; n++ {
		err = h.once(ctx, e, s.percent())
		var failure *Failure
		switch {
		case !errors.As(err, &failure) || failure.Status != http.StatusConflict:
			return err
		case n >= rereads && time.Since(begun)+pause >= within, !sleep(ctx, pause):
			failure.Attempts = n
			failure.why = "others write this route again and again (metadata.managedFields says who): " + failure.why
			return err
		}
		pause = min(max(2*pause, firstReread), longestReread)
	}
}

// once reads the route and puts it back. 409 says that it was changed in between.
func (h httproute) once(ctx context.Context, e *Event, s split) error {
	address := fmt.Sprintf("%s/apis/gateway.networking.k8s.io/v1/namespaces/%s/httproutes/%s", h.sink.URL, url.PathEscape(e.Use.Namespace), url.PathEscape(e.Use.Name))
	var route map[string]any
	if err := h.read(ctx, address, &route); err != nil {
		return err
	}
	name := fmt.Sprintf("HTTPRoute %s/%s", e.Use.Namespace, e.Use.Name)
	if route["kind"] != "HTTPRoute" {
		return unexpected("read "+name, "the server answers, but not with an HTTPRoute: is that the address of the Kubernetes API?")
	}
	changed, err := weigh(route, e.Use, s)
	if err != nil {
		return conflict("change "+name, "%s", err)
	}
	if !changed {
		h.leave(e, "%s has weight %d for %s and %d for %s", name, s.baseline, e.Use.Baseline, s.canary, e.Use.Canary)
		return nil
	}
	annotate(route, e.ID)
	x, err := jsonCall(http.MethodPut, address, e, route)
	if err != nil {
		return err
	}
	x.check = func(status int, body []byte) *Failure {
		var now map[string]any
		if failure := jsonInto(&now)(status, body); failure != nil {
			return failure
		}
		if differs, err := weigh(now, e.Use, s); err != nil || differs {
			return unlike(status, "with the weights that were put (does an admission webhook change them?)", nil)
		}
		return nil
	}
	return h.change(ctx, x)
}

// weigh sets the weights in every rule that has both backends. It reports whether any was another.
func weigh(route map[string]any, use *schemas.SinkUse, s split) (changed bool, err error) {
	spec, _ := route["spec"].(map[string]any)
	rules, _ := spec["rules"].([]any)
	found := false
	for i := range rules {
		rule, _ := rules[i].(map[string]any)
		refs, _ := rule["backendRefs"].([]any)
		baseline, canary := refNamed(refs, use.Baseline), refNamed(refs, use.Canary)
		if baseline == nil || canary == nil {
			continue
		}
		found = true
		for _, name := range []string{use.Baseline, use.Canary} {
			if twice := refsNamed(refs, name); len(twice) > 1 {
				return false, fmt.Errorf("its rule %d has %s %d times, and can't be weighed by that name: keep one, or use a name of its own for this backend; there are (%s) and (%s)", i+1, name, len(twice), whose(twice[0]), whose(twice[1]))
			}
		}
		for _, ref := range refs {
			if other, _ := ref.(map[string]any); other["name"] != use.Baseline && other["name"] != use.Canary && weightOf(other) != "0" {
				return false, fmt.Errorf("its rule %d has a third backendRef, %v, with a weight: shares of two can't be set beside it; give it a weight of 0, or a rule of its own", i+1, other["name"])
			}
		}
		changed = setWeight(baseline, s.baseline) || changed
		changed = setWeight(canary, s.canary) || changed
	}
	if !found {
		return false, fmt.Errorf("none of its rules has both backendRefs, %s and %s: add them, with weights 100 and 0", use.Baseline, use.Canary)
	}
	return changed, nil
}

// refNamed is the first backendRef of a name; nil: there is none.
func refNamed(refs []any, name string) map[string]any {
	if named := refsNamed(refs, name); named != nil {
		return named[0]
	}
	return nil
}

// refsNamed are the backendRefs of a name. A rollout knows a backend by its name alone, so in a rule there may be one, whatever its kind, namespace and port.
func refsNamed(refs []any, name string) []map[string]any {
	var named []map[string]any
	for _, ref := range refs {
		if r, ok := ref.(map[string]any); ok && r["name"] == name {
			named = append(named, r)
		}
	}
	return named
}

// whose is a backendRef for people, by what its name doesn't say.
func whose(ref map[string]any) string {
	text := "weight " + weightOf(ref)
	for _, key := range []string{"port", "kind", "group", "namespace"} {
		if value, given := ref[key]; given && value != "" {
			text = fmt.Sprintf("%s %v, %s", key, value, text)
		}
	}
	return text
}

// weightOf is a backendRef's weight as it is written; without one it is 1.
func weightOf(ref map[string]any) string {
	if weight, given := ref["weight"]; given {
		return fmt.Sprint(weight)
	}
	return "1"
}

// setWeight sets a weight and reports whether it was another.
func setWeight(ref map[string]any, weight int) bool {
	if weightOf(ref) == fmt.Sprint(weight) {
		return false
	}
	ref["weight"] = json.Number(fmt.Sprint(weight))
	return true
}

// annotate says in the route which decision changed it.
func annotate(route map[string]any, id string) {
	metadata, _ := route["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		route["metadata"] = metadata
	}
	annotations, _ := metadata["annotations"].(map[string]any)
	if annotations == nil {
		annotations = map[string]any{}
		metadata["annotations"] = annotations
	}
	annotations[decisionAnnotation] = id
}
