package quota

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that tests set.
type clock struct{ at atomic.Int64 }

func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

// newAccounts returns accounts by a clock of the test's.
func newAccounts(byDefault Limits) (*Accounts, *clock) {
	a, c := NewAccounts(byDefault), new(clock)
	a.now = c.at.Load
	return a, c
}

// meterOf charges a caller with the limits of all.
func (a *Accounts) meterOf(name string) *Meter {
	return a.Meter(func() (string, Limits) { return name, a.Default })
}

// wantExceeded fails the test unless a quota is used up for so long.
func wantExceeded(t *testing.T, err error, quota string, delay time.Duration) {
	t.Helper()
	exceeded, ok := errors.AsType[*ExceededError](err)
	if !ok || exceeded.Quota != quota || exceeded.Delay != delay {
		t.Fatalf("%v, want %s for %s", err, quota, delay)
	}
}

func TestRequests(t *testing.T) {
	a, c := newAccounts(Limits{Requests: 10})
	m := a.meterOf("one")
	for round := range 3 {
		for i := range 11 { // A second's worth, and the one with which it is used up.
			if err := m.Request(); err != nil {
				t.Fatalf("round %d, request %d: %v", round, i, err)
			}
		}
		wantExceeded(t, m.Request(), Requests, 100*time.Millisecond)
		if err := a.meterOf("another").Request(); err != nil {
			t.Fatalf("another caller: %v", err)
		}
		c.pass(99 * time.Millisecond)
		wantExceeded(t, m.Request(), Requests, time.Millisecond)
		c.pass(time.Millisecond) // What the error said.
		if err := m.Request(); err != nil {
			t.Fatal(err)
		}
		c.pass(10 * time.Second)
	}
	if refused := a.Usage().Refused[Requests]; refused != 6 {
		t.Errorf("%d refusals are counted", refused)
	}
}

// What is more than a second's worth passes once, and is waited for afterwards.
func TestPublishOfMuch(t *testing.T) {
	a, c := newAccounts(Limits{Events: 100, Bytes: 1000})
	m := a.meterOf("one")
	if err := m.Publish(1000, 100); err != nil {
		t.Fatal(err)
	}
	wantExceeded(t, m.Publish(1, 1), Events, 9*time.Second)
	if wait := m.Delivered(50, 50); wait != 0 {
		t.Errorf("what is delivered waits %s for what is published", wait)
	}
	c.pass(9 * time.Second)
	if err := m.Publish(1, 30_000); err != nil {
		t.Fatal(err)
	}
	wantExceeded(t, m.Publish(1, 1), Bytes, 29*time.Second)
}

// A refused request takes nothing of either quota.
func TestRefusedIsNotCharged(t *testing.T) {
	a, c := newAccounts(Limits{Events: 100, Bytes: 1000})
	m := a.meterOf("one")
	if err := m.Publish(1, 2000); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		wantExceeded(t, m.Publish(100, 100), Bytes, time.Second)
	}
	c.pass(time.Second)
	if err := m.Publish(1, 1); err != nil {
		t.Fatal(err)
	}
}

func TestStreamsWait(t *testing.T) {
	a, c := newAccounts(Limits{Events: 10})
	m := a.meterOf("one")
	for i, want := range []time.Duration{0, 0, 0, 500 * time.Millisecond, time.Second} {
		if wait := m.Published(5, 1); wait != want {
			t.Errorf("batch %d waits %s, want %s", i, wait, want)
		}
	}
	for i, want := range []time.Duration{0, 0, 500 * time.Millisecond, time.Second} {
		if wait := m.Delivered(5, 1); wait != want {
			t.Errorf("after frame %d it waits %s, want %s", i, wait, want)
		}
	}
	wantExceeded(t, m.MayDeliver(), Events, time.Second)
	c.pass(time.Second)
	if err := m.MayDeliver(); err != nil {
		t.Error(err)
	}
	if waited := a.Usage().Waited[Events]; waited != 3*time.Second {
		t.Errorf("%s of waiting are counted", waited)
	}
}

func TestStreams(t *testing.T) {
	a, _ := newAccounts(Limits{Streams: 2})
	m := a.meterOf("one")
	var ends []func()
	for range 2 {
		end, err := m.Stream()
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	_, err := m.Stream()
	wantExceeded(t, err, Streams, 0)
	ends[0]()
	if _, err := m.Stream(); err != nil {
		t.Fatal(err)
	}
}

// However many make requests at once, no more pass than may.
func TestManyAtOnce(t *testing.T) {
	a, _ := newAccounts(Limits{Requests: 1000})
	var passed atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			m := a.meterOf("one")
			for range 500 {
				if m.Request() == nil {
					passed.Add(1)
				}
			}
		})
	}
	callers.Wait()
	if passed.Load() != 1001 {
		t.Errorf("%d requests passed", passed.Load())
	}
}

// A limit that changes counts from then on.
func TestLimitsChange(t *testing.T) {
	a, c := newAccounts(Limits{})
	limits := Limits{Requests: 1}
	m := a.Meter(func() (string, Limits) { return "one", limits })
	for range 3 {
		_ = m.Request()
	}
	limits.Requests = 0
	if err := m.Request(); err != nil {
		t.Fatal(err)
	}
	limits.Requests = 1000
	wantExceeded(t, m.Request(), Requests, time.Second) // What is owed by the old one.
	c.pass(time.Second)
	if err := m.Request(); err != nil {
		t.Fatal(err)
	}
}

// Accounts are forgotten when they are as good as new, and bounded in any case.
func TestAccountsAreBounded(t *testing.T) {
	a, c := newAccounts(Limits{Requests: 1, Streams: 1})
	a.most = 100
	end, err := a.meterOf("streaming").Stream()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		_ = a.meterOf(fmt.Sprint("caller ", i)).Request()
	}
	if usage := a.Usage(); usage.Accounts > 100 {
		t.Errorf("there are %d accounts", usage.Accounts)
	}
	if err := a.meterOf("yet another").Request(); err == nil {
		t.Error("those beyond the bound share nothing")
	}
	c.pass(time.Minute)
	if err := a.meterOf("yet another").Request(); err != nil {
		t.Error(err)
	}
	if usage := a.Usage(); usage.Accounts != 2 { // The stream is open.
		t.Errorf("of idle accounts there are %d left", usage.Accounts)
	}
	if _, err := a.meterOf("streaming").Stream(); err == nil {
		t.Error("an open stream is forgotten")
	}
	end()
	c.pass(time.Minute)
	a.most = 2
	_ = a.meterOf("last").Request()
	if usage := a.Usage(); usage.Accounts != 1 {
		t.Errorf("there are %d accounts", usage.Accounts)
	}
}

// nobody is charged by a meter that isn't there.
func TestNoMeter(t *testing.T) {
	var m *Meter
	end, err := m.Stream()
	if err != nil || m.Request() != nil || m.AwaitRequest(t.Context()) != nil || m.Publish(1, 1) != nil || m.MayDeliver() != nil ||
		m.Published(1, 1) != 0 || m.Delivered(1, 1) != 0 || m.Limits() != (Limits{}) {
		t.Error("it charges")
	}
	end()
}

// BenchmarkCharge is what quotas cost a call: those of its request, and of its event.
func BenchmarkCharge(b *testing.B) {
	a := NewAccounts(Limits{Requests: 1 << 40, Events: 1 << 40, Bytes: 1 << 50, Streams: 1 << 20})
	for _, callers := range []int{1, 100} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			var number atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				m := a.meterOf(fmt.Sprint("caller ", number.Add(1)%int64(callers)))
				for pb.Next() {
					if err := errors.Join(m.Request(), m.Publish(1, 264)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
