package accounts_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/internal/dbtest"
)

// unlimited is a configuration for what one address does not do.
func unlimited(hash accounts.Hash) accounts.Config {
	return accounts.Config{Hash: hash, AccountFailures: 1 << 30, AddressFailures: 1 << 30}
}

// standard is the default cost of hashes.
func standard() accounts.Hash { return accounts.Hash{Memory: 19_456} }

// members makes n confirmed users with the password first.
func (b *bed) members(t testing.TB, target dbtest.Target, n int) {
	t.Helper()
	b.register("member0@example.com", first)
	db := raw(t, target)
	hash := strings.TrimSuffix(dump(t, db, "SELECT password_hash FROM members")[0], "|")
	for i := 1; i < n; i++ {
		execute(t, db, fmt.Sprintf("INSERT INTO members (id, email, email_verified, roles, password_hash, created_at, name, score) "+
			"VALUES ('member%d', 'member%d@example.com', TRUE, '[]', '%s', '2026-01-01T00:00:00.000000Z', '', 0)", i, i, hash))
	}
}

// BenchmarkTiming compares the times of requests for known and unknown addresses; see scripts/bench-timing.
func BenchmarkTiming(b *testing.B) {
	const each, addresses = 500, 50
	for name, hash := range map[string]accounts.Hash{"cheap": cheap(), "default": standard()} {
		for _, route := range []string{"login", "forgot", "register"} {
			b.Run(route+"/"+name, func(b *testing.B) {
				target := dbtest.New(b, dbtest.SQLite)
				bed := start(b, target, options{accounts: unlimited(hash)})
				bed.members(b, target, addresses)
				stop := make(chan struct{})
				defer close(stop)
				go func() { // mails are of no interest
					for {
						select {
						case <-bed.mails:
						case <-stop:
							return
						}
					}
				}()
				c := bed.browser()
				for range b.N {
					times := map[string][]float64{}
					kinds := slices.Repeat([]string{"member", "nobody"}, each+50)
					rand.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
					for i, kind := range kinds {
						number := rand.IntN(addresses)
						if route == "register" && kind == "nobody" {
							number = i // it is known from then on
						}
						body := m{"email": fmt.Sprintf("%s%d@example.com", kind, number)}
						if route != "forgot" {
							body["password"] = second
						}
						began := time.Now()
						c.post("/auth/"+route, body)
						if elapsed := time.Since(began); i >= 100 { // warm by then
							times[kind] = append(times[kind], float64(elapsed))
						}
					}
					curve := auc(times["member"], times["nobody"])
					b.ReportMetric(curve, "AUC")
					b.ReportMetric(median(times["member"])/1e6, "ms-known")
					b.ReportMetric(median(times["nobody"])/1e6, "ms-unknown")
					if route == "login" && (curve < 0.45 || curve > 0.55) {
						b.Errorf("the AUC of sign-ins is %.3f", curve)
					}
				}
			})
		}
	}
}

// auc is the probability that one of a is larger than one of b.
func auc(a, b []float64) float64 {
	var sum float64
	for _, x := range a {
		for _, y := range b {
			sum += float64(cmp.Compare(x, y)+1) / 2
		}
	}
	return sum / float64(len(a)*len(b))
}

func median(times []float64) float64 {
	return slices.Sorted(slices.Values(times))[len(times)/2]
}

// BenchmarkSignIns signs in many users at a time; see scripts/bench-accounts.
func BenchmarkSignIns(b *testing.B) {
	const atATime, total, lists = 200, 1000, 4
	target := dbtest.New(b, dbtest.SQLite)
	bed := start(b, target, options{accounts: unlimited(standard()), failing: true})
	bed.members(b, target, atATime)
	reader := bed.program(bed.bearer("member0@example.com", first))
	for i := range 100 {
		reader.post("/note", m{"text": fmt.Sprint(i)}).want(http.StatusCreated)
	}
	for range b.N {
		var mu sync.Mutex
		statuses, latencies := map[int]int{}, []float64{}
		done := make(chan struct{})
		var listing, signing sync.WaitGroup
		for range lists {
			listing.Go(func() {
				for ticker := time.NewTicker(20 * time.Millisecond); ; {
					select {
					case <-done:
						ticker.Stop()
						return
					case <-ticker.C:
						began := time.Now()
						status := reader.get("/note?limit=20").status
						mu.Lock()
						statuses[status]++
						latencies = append(latencies, float64(time.Since(began)))
						mu.Unlock()
					}
				}
			})
		}
		began := time.Now()
		for i := range atATime {
			signing.Go(func() {
				for range total / atATime {
					status := bed.browser().post("/auth/login", m{"email": fmt.Sprintf("member%d@example.com", i), "password": first}).status
					mu.Lock()
					statuses[-status]++ // apart from the lists'
					mu.Unlock()
				}
			})
		}
		signing.Wait()
		elapsed := time.Since(began)
		close(done)
		listing.Wait()
		slices.Sort(latencies)
		p99 := latencies[len(latencies)*99/100]
		peak := peakMemory(b)
		b.Logf("%d sign-ins, %d at a time, in %v: %v (lists: positive, sign-ins: negative)", total, atATime, elapsed.Round(time.Millisecond), statuses)
		b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
		b.ReportMetric(median(latencies)/1e6, "ms-list-p50")
		b.ReportMetric(p99/1e6, "ms-list-p99")
		b.ReportMetric(total/elapsed.Seconds(), "sign-ins/s")
		for status := range statuses {
			if status = max(status, -status); status >= 500 && status != http.StatusServiceUnavailable {
				b.Errorf("statuses %v", statuses)
			}
		}
		if peak >= 1<<30 || p99 >= float64(500*time.Millisecond) || statuses[-http.StatusOK] == 0 {
			b.Errorf("%d MiB, 99th percentile of lists %.0f ms, statuses %v", peak>>20, p99/1e6, statuses)
		}
	}
}

// peakMemory is the most that this process had in memory, in bytes; clients are in it, too.
func peakMemory(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
