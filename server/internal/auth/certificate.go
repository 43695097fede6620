package auth

import (
	"crypto/x509"
	"fmt"
)

// NameSource is what of a client certificate names its principal.
type NameSource string

// The sources of a name.
const (
	NameURI     NameSource = "uri"     // The only URI among the subject alternative names, as SPIFFE has it.
	NameDNS     NameSource = "dns"     // The only DNS name among them.
	NameSubject NameSource = "subject" // The common name of the subject.
)

// Certificates is how client certificates name their principals. TLS has verified them.
type Certificates struct {
	Name NameSource `yaml:"name"`
}

func (c Certificates) validate() error {
	switch c.Name {
	case NameURI, NameDNS, NameSubject:
		return nil
	default:
		return fmt.Errorf("client_certificates.name: %q is not %s, %s or %s", c.Name, NameURI, NameDNS, NameSubject)
	}
}

func (c Certificates) verify(certificate *x509.Certificate) (Principal, error) {
	var names []string
	switch c.Name {
	case NameURI:
		for _, uri := range certificate.URIs {
			names = append(names, uri.String())
		}
	case NameDNS:
		names = certificate.DNSNames
	case NameSubject:
		names = []string{certificate.Subject.CommonName}
	}
	if len(names) != 1 || names[0] == "" {
		return Principal{}, fmt.Errorf("%w: the client certificate has %d names of the kind %s, not one", ErrInvalid, len(names), c.Name)
	}
	return Principal{Name: "cert:" + names[0], Expires: certificate.NotAfter}, nil
}
