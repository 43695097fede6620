package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

// subjectAlternativeNames is the extension of that name: RFC 5280, 4.2.1.6.
var subjectAlternativeNames = asn1.ObjectIdentifier{2, 5, 29, 17}

// alternatives returns the names of a kind, by its tag, in the extension as it is
// encoded. DER has strings in one piece only, and one of several pieces is no name.
func alternatives(certificate *x509.Certificate, tag int) (names []string) {
	for _, extension := range certificate.Extensions {
		if !extension.Id.Equal(subjectAlternativeNames) {
			continue
		}
		var list []asn1.RawValue
		if _, err := asn1.Unmarshal(extension.Value, &list); err != nil {
			return nil
		}
		for _, name := range list {
			if name.Class == asn1.ClassContextSpecific && name.Tag == tag && !name.IsCompound {
				names = append(names, string(name.Bytes))
			}
		}
	}
	return names
}

// FuzzCertificate: a certificate names its principal only where it has one name of the
// kind, by its encoding, and this one, as text.
func FuzzCertificate(f *testing.F) {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	add := func(template x509.Certificate) {
		template.SerialNumber, template.NotAfter = big.NewInt(1), time.Unix(4_000_000_000, 0)
		der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	uri := func(text string) *url.URL { return &url.URL{Scheme: "spiffe", Host: "example.com", Path: text} }
	subject := func(values ...any) []byte {
		var names pkix.RDNSequence
		for _, value := range values {
			names = append(names, []pkix.AttributeTypeAndValue{{Type: commonName, Value: value}})
		}
		der, err := asn1.Marshal(names)
		if err != nil {
			f.Fatal(err)
		}
		return der
	}
	add(x509.Certificate{Subject: pkix.Name{CommonName: "Checkout"}, DNSNames: []string{"a.example.com"}, URIs: []*url.URL{uri("/checkout")}})
	add(x509.Certificate{DNSNames: []string{"a", "b"}, URIs: []*url.URL{uri("/a"), uri("/b")}})
	add(x509.Certificate{DNSNames: []string{"*.example.com"}, URIs: []*url.URL{uri("/a b%2fc?é")}})
	add(x509.Certificate{ExtraExtensions: []pkix.Extension{{Id: subjectAlternativeNames, Value: []byte("\x30\x06\x82\x01a\xa2\x01b")}}}) // The second in pieces.
	add(x509.Certificate{RawSubject: subject("one", "two")})
	add(x509.Certificate{RawSubject: subject(asn1.RawValue{Tag: asn1.TagT61String, Bytes: []byte("caf\xe9")})})
	add(x509.Certificate{RawSubject: subject(asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("a\nb")})})
	add(x509.Certificate{RawSubject: subject(asn1.RawValue{Tag: 30, Bytes: []byte("\x00a\x00b")})}) // BMPString.
	add(x509.Certificate{RawSubject: subject(strings.Repeat("x", 3000))})
	accesses := make(map[NameSource]*Access)
	for _, source := range []NameSource{NameURI, NameDNS, NameSubject} {
		accesses[source] = newPlace(f, "client_certificates: {name: "+string(source)+"}\n").open()
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return // TLS doesn't take it either.
		}
		for source, access := range accesses {
			session, err := access.Authenticate(Credential{Certificate: certificate})
			if err != nil {
				if !errors.Is(err, ErrInvalid) {
					t.Errorf("%s: %v", source, err)
				}
				continue
			}
			name, ok := strings.CutPrefix(session.Principal().Name, "cert:")
			if !ok || !plain(name) || session.Principal().Expires != certificate.NotAfter {
				t.Errorf("%s: the principal is %q", source, session.Principal().Name)
			}
			var names []string
			switch source {
			case NameURI:
				names = alternatives(certificate, 6)
			case NameDNS:
				names = alternatives(certificate, 2)
			case NameSubject:
				names = commonNames(t, certificate)
			}
			if len(names) != 1 || !sameName(source, names[0], name) {
				t.Errorf("%s: %q is taken for %q", source, names, name)
			}
		}
	})
}

// commonNames are those of the subject, as it is encoded.
func commonNames(t *testing.T, certificate *x509.Certificate) (names []string) {
	var sequence pkix.RDNSequence
	if _, err := asn1.Unmarshal(certificate.RawSubject, &sequence); err != nil {
		t.Errorf("the subject: %v", err)
	}
	for _, set := range sequence {
		for _, attribute := range set {
			if attribute.Type.Equal(commonName) {
				name, _ := attribute.Value.(string)
				names = append(names, name)
			}
		}
	}
	return names
}

// sameName compares the name of a principal with that of the certificate. A URI is
// compared as RFC 3986 normalises it in case and escapes.
func sameName(source NameSource, encoded, name string) bool {
	if source != NameURI {
		return encoded == name
	}
	u, err := url.Parse(encoded)
	return err == nil && u.String() == name
}
