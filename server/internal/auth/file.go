package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// File is what an access file says: where credentials come from, and what their
// principals may do.
type File struct {
	// APIKeys is a file of API keys. Empty: none are taken.
	APIKeys string `yaml:"api_keys"`
	// Issuers are those whose tokens are taken.
	Issuers []Issuer `yaml:"issuers"`
	// ClientCertificates says how client certificates name their principals. nil: none
	// are taken.
	ClientCertificates *Certificates `yaml:"client_certificates"`
	// Grants are the policy.
	Grants Policy `yaml:"grants"`
	// Quotas are what principals may use. The first that is for one holds.
	Quotas Quotas `yaml:"quotas"`
}

// ReadFile reads an access file. Paths in it are relative to its directory.
func ReadFile(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseFile(path, data)
}

// parseFile reads the content of an access file.
func parseFile(path string, data []byte) (*File, error) {
	f := new(File)
	if err := decode(data, f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := f.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	places := []*string{&f.APIKeys}
	for i := range f.Issuers {
		places = append(places, &f.Issuers[i].JWKSFile, &f.Issuers[i].CAFile)
	}
	for _, place := range places {
		if *place != "" && !filepath.IsAbs(*place) {
			*place = filepath.Join(filepath.Dir(path), *place)
		}
	}
	return f, nil
}

func (f *File) validate() error {
	if f.APIKeys == "" && len(f.Issuers) == 0 && f.ClientCertificates == nil {
		return errors.New("nobody can be told apart: it names no api_keys, issuers or client_certificates")
	}
	names, issuers := make(map[string]bool), make(map[string]bool)
	for i := range f.Issuers {
		issuer := &f.Issuers[i]
		if err := issuer.validate(); err != nil {
			return fmt.Errorf("issuers[%d].%w", i, err)
		}
		if names[issuer.Name] || issuers[issuer.Issuer] {
			return fmt.Errorf("issuers[%d]: %q is there twice", i, issuer.Name)
		}
		names[issuer.Name], issuers[issuer.Issuer] = true, true
	}
	if f.ClientCertificates != nil {
		if err := f.ClientCertificates.validate(); err != nil {
			return err
		}
	}
	if err := f.Grants.validate(); err != nil {
		return err
	}
	return f.Quotas.validate()
}

// ReadKeys reads a file of API keys. One that doesn't exist is an error that
// errors.Is says is os.ErrNotExist.
func ReadKeys(path string) (*KeyFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := new(KeyFile)
	if err := decode(data, f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := f.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Write replaces a file of API keys, in one step, which its owner alone can read.
func (f *KeyFile) Write(path string) error {
	data, err := yaml.Marshal(f)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // After Rename there is none.
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// decode decodes YAML, in which there is nothing but what a type has.
func decode(data []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
