// Package reserved says which packages of protobuf are no company's own: their
// messages describe schemas or calls, or are parts of events, and no events.
package reserved

import "regexp"

var packages = regexp.MustCompile(`^(google\.protobuf(\.compiler)?|buf\.validate(\.priv)?|tidings\.((options|storage|replica)\.)?v[0-9]+((alpha|beta)[0-9]+)?)$`)

// Packages names them for people.
const Packages = "google.protobuf, buf.validate, tidings.options.v1, tidings.v1 and tidings.v1beta1"

// Package reports whether a package is reserved: one of protobuf's, of
// protovalidate's or of the contract's, of whichever version, and none below it.
func Package(name string) bool { return packages.MatchString(name) }
