package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"example.com/tidings/server/internal/cli/command"
)

// devCertLifetime is how long the certificates are valid.
const devCertLifetime = 30 * 24 * time.Hour

func devCertCommand() *cobra.Command {
	var hosts []string
	var client string
	cmd := &cobra.Command{
		Use:   "dev-cert DIR",
		Short: "Make certificates to try TLS with",
		Long: `Make certificates to try TLS with, valid for 30 days: an authority (ca.pem), a
server's certificate for localhost (server.pem, server-key.pem) and a client's
(client.pem, client-key.pem), whose principal is cert:spiffe://tidings.example/NAME
where the access file takes its name from the URI. The key of the authority isn't
kept. They are no replacement for the certificates of a real authority.`,
		Example: "  tidings dev-cert certs --host tidings.internal --client checkout",
		Args:    command.Arguments("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if client == "" {
				return command.Usagef("--client: it is empty")
			}
			if err := writeDevCerts(args[0], hosts, client); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s has ca.pem, server.pem, server-key.pem, client.pem and client-key.pem\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&hosts, "host", nil, "further `NAME` or address of the server, besides localhost, 127.0.0.1 and ::1; may be given several times")
	cmd.Flags().StringVar(&client, "client", "client", "`NAME` of the client")
	return cmd
}

func writeDevCerts(dir string, hosts []string, client string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	now := time.Now()
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(devCertLifetime),
			KeyUsage: x509.KeyUsageDigitalSignature,
		}
	}
	authority := template("Tidings development authority")
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := template("localhost")
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range append([]string{"localhost", "127.0.0.1", "::1"}, hosts...) {
		if ip := net.ParseIP(host); ip != nil {
			server.IPAddresses = append(server.IPAddresses, ip)
		} else {
			server.DNSNames = append(server.DNSNames, host)
		}
	}
	caller := template(client)
	caller.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	caller.URIs = []*url.URL{{Scheme: "spiffe", Host: "tidings.example", Path: "/" + client}}
	if err := writeCertificate(filepath.Join(dir, "ca"), authority, authority, authorityKey, nil); err != nil {
		return err
	}
	for name, certificate := range map[string]*x509.Certificate{"server": server, "client": caller} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err == nil {
			err = writeCertificate(filepath.Join(dir, name), certificate, authority, authorityKey, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeCertificate writes a certificate to PATH.pem and its key to PATH-key.pem. nil:
// it is the authority's own, whose key isn't written.
func writeCertificate(path string, certificate, authority *x509.Certificate, authorityKey, key *ecdsa.PrivateKey) error {
	public := &authorityKey.PublicKey
	if key != nil {
		public = &key.PublicKey
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		if err := writePEM(path+"-key.pem", "PRIVATE KEY", private, 0o600); err != nil {
			return err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, authority, public, authorityKey)
	if err != nil {
		return err
	}
	return writePEM(path+".pem", "CERTIFICATE", der, 0o644)
}

// writePEM writes a file that isn't there yet.
func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(file, &pem.Block{Type: kind, Bytes: der}), file.Close())
}
