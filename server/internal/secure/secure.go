// Package secure is what the server, its access file and its command share about
// connections that others could read.
package secure

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
)

// CertPool reads the certificates of authorities from a file in PEM.
func CertPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificates in PEM", path)
	}
	return pool, nil
}

// IsLoopback reports whether only this machine can reach host. A name other
// than localhost may mean anything, and the empty host means every address.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
