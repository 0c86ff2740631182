package schemas

import (
	"fmt"
	"net/url"
)

func readRegistries(s section) Registries {
	return Registries{MLflow: readRegistry(s, "mlflow"), Schemas: readRegistry(s, "schemas")}
}

// readRegistry returns nil where there is no such key.
func readRegistry(around section, key string) *Registry {
	if !around.given(key) {
		return nil
	}
	s := around.under(key)
	r := &Registry{URL: s.text("url"), TokenFile: s.text("tokenFile"), User: s.text("user"), PasswordFile: s.text("passwordFile"), TLS: readTLS(s)}
	if !s.sound() {
		return r
	}
	if err := CheckHTTPURL(r.URL); err != nil {
		s.refuse("url", "%s", err)
	}
	switch {
	case r.TokenFile != "" && r.User != "":
		s.refuse("tokenFile", "stands beside user: a registry knows us by one of the two: remove one")
	case r.User != "" && r.PasswordFile == "":
		s.refuse("user", "stands without passwordFile: write passwordFile: /run/secrets/registry beside it, or remove it")
	case r.User == "" && r.PasswordFile != "":
		s.refuse("passwordFile", "stands without user: write whose password it is, or use tokenFile")
	}
	return r
}

// CheckHTTPURL says why a text is no address of an HTTP API, or nil. The text is not in the error where it may hold a secret.
func CheckHTTPURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("is no address: write e.g. https://registry.example:8081")
	case u.User != nil:
		return fmt.Errorf("the address holds a secret before the @: use tokenFile, or user and passwordFile")
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("has something after a ? or #: write the address alone, e.g. https://registry.example:8081")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("%q is no address: write e.g. https://registry.example:8081", text)
	}
	return nil
}
