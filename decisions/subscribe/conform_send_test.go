package subscribe

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/schemas"
)

// send publishes a decision as the script has it: WHERE EPOCH.SEQ ACTION WORD...
func (x *trial) send(where string, words []string) error {
	signed, err := made(words)
	if err != nil {
		return err
	}
	if where == "log" || where == "both" {
		if err := x.log(signed); err != nil {
			return err
		}
	}
	if where == "route" || where == "both" {
		return x.put(signed, schemas.RouteKey)
	}
	if where == "again" {
		return x.put(signed, schemas.AgainKey)
	}
	return nil
}

// log appends to the decision log, without an id: what is sent twice is to come twice.
func (x *trial) log(s schemas.Signed) error {
	subject, err := schemas.DecisionSubject(model)
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: subject, Data: s.Body, Header: nats.Header{}}
	if len(s.Signature) > 0 {
		m.Header.Set(schemas.HeaderKeyID, s.KeyID)
		m.Header.Set(schemas.HeaderSignature, schemas.EncodeSignature(s.Signature))
	}
	_, err = x.js.PublishMsg(x.t.Context(), m)
	return err
}

// put writes the model's route document, or asks it again.
func (x *trial) put(s schemas.Signed, keyOf func(string) (string, error)) error {
	value, err := schemas.EncodeSigned(s)
	if err != nil {
		return err
	}
	kv, err := x.js.KeyValue(x.t.Context(), schemas.RoutesBucket)
	if err != nil {
		return err
	}
	key, err := keyOf(model)
	if err != nil {
		return err
	}
	_, err = kv.Put(x.t.Context(), key, value)
	return err
}

// made is a decision in a script's words.
func made(words []string) (schemas.Signed, error) {
	d := schemas.Decision{
		Model: model, Rollout: "r-1", Mode: schemas.Enforce, Action: schemas.Action(words[1]), Severity: schemas.Info,
		Reason: schemas.Reason{Code: "script", Sentence: "The script says so: <&> é."}, Evidence: schemas.Evidence{RolloutSha256: strings.Repeat("a", 64)},
		EventTime: 1000, IssuedAt: 2000, Actor: schemas.Actor{Kind: "engine"},
	}
	if _, err := fmt.Sscanf(words[0], "%d.%d", &d.Epoch, &d.Seq); err != nil {
		return schemas.Signed{}, fmt.Errorf("%q is no number of a decision: %w", words[0], err)
	}
	var err error
	if d.ID, err = schemas.DecisionID(d.Rollout, d.Epoch, d.Seq); err != nil {
		return schemas.Signed{}, err
	}
	wrong := ""
	for _, word := range words[2:] {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "prepare", "commit", "abort":
			d.Phase = schemas.Phase(name)
		case "advise":
			d.Mode = schemas.Advise
		case "expired":
			d.ExpiresAt = schemas.Time(time.Now().Add(-time.Second).UnixMilli())
		case "routes":
			d.Routes, err = routesOf(value)
		case "state":
			d.State = ordersOf(value)
		default:
			wrong = name
		}
	}
	if err != nil {
		return schemas.Signed{}, err
	}
	return signedAs(&d, wrong)
}

// signedAs signs a decision, or does it wrong.
func signedAs(d *schemas.Decision, wrong string) (schemas.Signed, error) {
	switch wrong {
	case "other-model":
		d.Model = "other"
	case "wrong-id":
		d.ID += "0"
	}
	body, err := schemas.EncodeDecision("script", d)
	if err != nil {
		return schemas.Signed{}, err
	}
	signed := key(1).Sign(body)
	switch wrong {
	case "", "other-model", "wrong-id":
	case "bad-routes":
		signed = key(1).Sign([]byte(strings.Replace(string(body), `"weight_bp":10000`, `"weight_bp":9999`, 1)))
	case "no-decision":
		signed = key(1).Sign([]byte("{}"))
	case "unsigned":
		signed.KeyID, signed.Signature = "", nil
	case "forged":
		signed.Signature = key(2).Sign(body).Signature
	case "unknown-key":
		signed = key(2).Sign(body)
	case "changed":
		signed.Body = []byte(strings.Replace(string(body), `"weight_bp":10000`, `"weight_bp": 10000`, 1)) // the same to a JSON parser
	default:
		return schemas.Signed{}, fmt.Errorf("no word is %q", wrong)
	}
	return signed, nil
}

// routesOf reads VERSION:WEIGHT,...
func routesOf(text string) ([]schemas.Route, error) {
	var routes []schemas.Route
	for part := range strings.SplitSeq(text, ",") {
		version, weight, _ := strings.Cut(part, ":")
		bp, err := strconv.Atoi(weight)
		if err != nil {
			return nil, err
		}
		routes = append(routes, schemas.Route{Version: version, WeightBP: bp})
	}
	return routes, nil
}

// ordersOf reads STORE:DO:SNAPSHOT:NAMESPACE,...
func ordersOf(text string) []schemas.StateOrder {
	var orders []schemas.StateOrder
	for part := range strings.SplitSeq(text, ",") {
		w := append(strings.Split(part, ":"), "", "", "")
		orders = append(orders, schemas.StateOrder{Store: w[0], Do: schemas.StateDo(w[1]), Snapshot: w[2], Namespace: w[3]})
	}
	return orders
}
