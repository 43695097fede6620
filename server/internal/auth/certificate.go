package auth

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// NameSource is what of a client certificate names its principal.
type NameSource string

// The sources of a name.
const (
	NameURI     NameSource = "uri"     // The only URI among the subject alternative names, as SPIFFE has it.
	NameDNS     NameSource = "dns"     // The only DNS name among them.
	NameSubject NameSource = "subject" // The only common name of the subject.
)

// commonName is the attribute type of common names: RFC 5280, appendix A.1.
var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

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
		for _, attribute := range certificate.Subject.Names { // Subject.CommonName is the last of them.
			if attribute.Type.Equal(commonName) {
				name, _ := attribute.Value.(string)
				names = append(names, name)
			}
		}
	}
	if len(names) != 1 || names[0] == "" {
		return Principal{}, fmt.Errorf("%w: the client certificate has %d names of the kind %s, not one", ErrInvalid, len(names), c.Name)
	}
	return Principal{Name: "cert:" + names[0], Expires: certificate.NotAfter}, nil
}
