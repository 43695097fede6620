// Package mutation tries, for every rule that the project relies on, a change of
// the schemas that the rule has to catch and the nearest one that has to pass:
// with the real configuration, the real Buf, and the real schemas wherever they
// have what a rule is about. testdata/lint and testdata/breaking say the changes.
// It also sends events across the changes, and holds docs/compatibility.md to what
// becomes of them.
package mutation

import "testing"

func TestMutations(t *testing.T) {
	g := newGround(t)
	for _, p := range readPairs(t) {
		t.Run(p.title()+"/caught", func(t *testing.T) {
			t.Parallel()
			if err := g.try(t.Context(), p, p.Caught, true); err != nil {
				t.Errorf("%s: %v", p.source, err)
			}
		})
		t.Run(p.title()+"/passes", func(t *testing.T) {
			t.Parallel()
			if err := g.try(t.Context(), p, p.Passes, false); err != nil {
				t.Errorf("%s: %v", p.source, err)
			}
		})
	}
}
