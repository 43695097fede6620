package engine

import "testing"

func TestLastOfState(t *testing.T) {
	for _, test := range []struct {
		state State
		last  int64
	}{
		{State{First: 1, End: 1}, 0},
		{State{First: 1, End: 5}, 4},
		{State{First: 1, End: 100, Holes: []Hole{{5, 100}}}, 4},
		{State{First: 100, End: 101, Holes: []Hole{{5, 100}}}, 100},
		{State{First: 100, End: 100, Holes: []Hole{{1, 100}}}, 0},
	} {
		if last := test.state.Last(); last != test.last {
			t.Errorf("%+v: %d instead of %d", test.state, last, test.last)
		}
	}
}
