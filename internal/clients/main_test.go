package clients

import (
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
