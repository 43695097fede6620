package service

import (
	"testing"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/governance"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// featuresOnly is an engine with nothing but features.
type featuresOnly struct {
	engine.Engine

	features engine.Features
}

func (f featuresOnly) Features() engine.Features { return f.features }

// TestFeaturesAreDecided wants a decision about every feature of the contract.
func TestFeaturesAreDecided(t *testing.T) {
	s := &Service{engine: featuresOnly{}, schemas: new(governance.Schemas)}
	values := tidingsv1.Feature(0).Descriptor().Values()
	for i := range values.Len() {
		if _, known := s.has(tidingsv1.Feature(values.Get(i).Number())); !known {
			t.Errorf("nothing says whether the server has %s", values.Get(i).Name())
		}
	}
	if _, known := s.has(9999); known {
		t.Error("a feature that isn't in the contract is known")
	}
	few := s.features()
	s.engine = featuresOnly{features: engine.Features{ExactCount: true, KeyPreconditions: true, ManyPreconditions: true, KeyIndex: true}}
	if all := s.features(); len(all) != len(few)+4 || len(all) != values.Len()-2 {
		t.Errorf("the features are %q, or with those of the engine %q", few, all)
	}
}
