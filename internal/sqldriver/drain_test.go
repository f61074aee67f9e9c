package sqldriver_test

import (
	"context"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

// TestExecOfWhatReturnsRows runs statements with Exec whose rows nobody asks for, prepared and often.
func TestExecOfWhatReturnsRows(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for id := range 3 {
			b.exec(ctx, "INSERT INTO item(id, name) VALUES (?, 'x"+string(rune('a'+id))+"') RETURNING id", id)
			b.exec(ctx, "SELECT id, name FROM item WHERE id < ?", 100)
		}
		b.want(3)
		result, err := b.SQL().ExecContext(ctx, b.sql("DELETE FROM item WHERE id < ? RETURNING name"), 2)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := result.RowsAffected(); err != nil || n != 2 {
			t.Errorf("%d rows, %v, want 2", n, err)
		}
		b.want(1)
	})
}
