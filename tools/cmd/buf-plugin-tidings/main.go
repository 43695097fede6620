// The command buf-plugin-tidings is a plugin of Buf: it adds the rules of this
// project to those of `buf lint` and `buf breaking`.
package main

import (
	"buf.build/go/bufplugin/check"

	"example.com/tidings/tools/internal/schemarules"
)

func main() {
	check.Main(schemarules.Spec())
}
