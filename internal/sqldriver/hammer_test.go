package sqldriver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Sixteen goroutines move money between accounts in every way there is; none may be lost or made.
func TestHammer(t *testing.T) {
	t.Parallel()
	const accounts, money, workers, rounds = 8, 100, 16, 25
	onEach(t, sqldriver.Options{WriteWait: time.Minute}, func(t *testing.T, b bed) {
		b.exec(t.Context(), "CREATE TABLE account(id INTEGER PRIMARY KEY, money INTEGER NOT NULL)")
		for id := range accounts {
			b.exec(t.Context(), "INSERT INTO account VALUES (?, ?)", id, money)
		}
		sum := func(ctx context.Context) error {
			var total int
			if err := b.SQL().QueryRowContext(ctx, "SELECT sum(money) FROM account").Scan(&total); err != nil {
				return err
			}
			if total != accounts*money {
				return fmt.Errorf("there are %d in all", total)
			}
			return nil
		}
		give := b.sql("UPDATE account SET money = money + ? WHERE id = ?")
		prepared, err := b.SQL().PrepareContext(t.Context(), give)
		if err != nil {
			t.Fatal(err)
		}
		pair := func(r *rand.Rand) (low, high, amount int) {
			low = r.IntN(accounts - 1)
			return low, low + 1 + r.IntN(accounts-1-low), r.IntN(9) - 4
		}
		ways := []func(ctx context.Context, r *rand.Rand) error{
			func(ctx context.Context, r *rand.Rand) error {
				low, high, amount := pair(r)
				return b.UpdateRetry(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
					if _, err := c.Exec(ctx, give, named(int64(amount), int64(low))); err != nil {
						return err
					}
					_, err := b.SQL().ExecContext(ctx, give, -amount, high)
					return err
				})
			},
			func(ctx context.Context, r *rand.Rand) error {
				low, high, amount := pair(r)
				tx, err := b.SQL().BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				defer func() { _ = tx.Rollback() }()
				if _, err := tx.StmtContext(ctx, prepared).ExecContext(ctx, amount, low); err != nil {
					return err
				}
				if _, err := tx.ExecContext(ctx, give, -amount, high); err != nil {
					return err
				}
				if r.IntN(3) == 0 {
					return tx.Rollback()
				}
				return tx.Commit()
			},
			func(ctx context.Context, r *rand.Rand) error {
				ctx, cancel := context.WithTimeout(ctx, time.Duration(r.IntN(3000))*time.Microsecond)
				defer cancel()
				low, high, amount := pair(r)
				err := b.Update(ctx, func(ctx context.Context, _ *sqldriver.Conn) error {
					if _, err := prepared.ExecContext(ctx, amount, low); err != nil {
						return err
					}
					return b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
						_, err := c.Exec(ctx, give, named(int64(-amount), int64(high)))
						return err
					})
				})
				if ctx.Err() != nil {
					return nil
				}
				return err
			},
			func(ctx context.Context, _ *rand.Rand) error { return sum(ctx) },
			func(ctx context.Context, _ *rand.Rand) error {
				return b.View(ctx, func(ctx context.Context, _ *sqldriver.Conn) error { return sum(ctx) })
			},
		}
		var wait sync.WaitGroup
		for worker := range workers {
			wait.Go(func() {
				r := rand.New(rand.NewPCG(uint64(worker), 1)) // repeatable
				for range rounds {
					way := r.IntN(len(ways))
					if err := ways[way](t.Context(), r); err != nil && !errors.Is(err, sqldriver.ErrBusy) && !deadlocked(b, err) {
						t.Errorf("way %d: %v", way, err)
					}
				}
			})
		}
		wait.Wait()
		if err := errors.Join(sum(t.Context()), prepared.Close()); err != nil {
			t.Error(err)
		}
	})
}

// One transaction in the hands of many goroutines: its statements take turns.
func TestSharedTransaction(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		const workers, each = 16, 10
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			var wait sync.WaitGroup
			for worker := range int64(workers) {
				wait.Go(func() {
					for i := range int64(each) {
						id := worker*each + i
						err := b.insert(ctx, c, id)
						if id%2 == 1 {
							err = errors.Join(err, b.add(ctx, 1000+id))
						}
						if err != nil {
							t.Error(err)
						}
						// Elsewhere one result can be open at a time, which another goroutine may have.
						if b.Dialect().Name() == "sqlite" {
							if _, err := ids(ctx, c); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			wait.Wait()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(workers * each * 3 / 2)
	})
}

func deadlocked(b bed, err error) bool { return b.Dialect().Classify(err).Class == engine.Busy }
