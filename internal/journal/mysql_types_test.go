package journal

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
)

// foreign is a model of a table that another program made.
type foreign struct {
	ID       uint64 `gorm:"autoIncrement:false"`
	Flag     *bool
	Bit      *bool
	Small    *int64
	Unsigned *uint64
	Single   *float64
	Fixed    *float64
	Amount   *string `gorm:"type:decimal(30,10)"`
	Text     *string
	Latin    *string
	Code     *string
	Choice   *string
	Token    *uuid.UUID
	Data     []byte
	Stamp    *time.Time
	Day      *time.Time
	Moment   *time.Time
	Doc      json.RawMessage
	Year     *int64
}

func (foreign) TableName() string { return "foreigners" }

func createForeign(b *bed) {
	b.exec("CREATE TABLE foreigners (id bigint unsigned NOT NULL PRIMARY KEY, flag tinyint, `bit` bit(1), small smallint zerofill, " +
		"`unsigned` bigint unsigned, single float, fixed double(12,3), amount decimal(30,10), text text CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, " +
		"latin varchar(20) CHARACTER SET latin1, code char(6) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, choice enum('a', 'b\"') CHARACTER SET utf8mb3, " +
		"token uuid, data varbinary(300), stamp timestamp(6) NULL, day date, moment datetime(3), doc json, year year)")
}

func TestMySQLTypesOfOtherPrograms(t *testing.T) {
	t.Parallel()
	b := mariaBed(t, parse[foreign](t))
	createForeign(b)
	b.start()
	for i, set := range []string{
		"flag = 1, `bit` = 0", "flag = 0, `bit` = 1", "small = -0", "small = 12", "small = 65535", "`unsigned` = 9223372036854775807", "single = 0.1", "single = 1e10", "single = 16777217", "single = 3.4e38", "single = 1.17e-38",
		"single = -1e-7", "single = 123456.789", "fixed = 1.5", "fixed = 123456789.123", "fixed = -0.0005", "amount = 0.1", "amount = -12345678901234567890.0123456789", "amount = 7",
		"text = 'é\"\\\\/\n\t\x01\x7f'", "text = '😀\u2028 '", "text = '[1]'", "text = ''", "latin = 'é €'", "latin = '\\\\'", "code = 'ab '", "code = 'É😀'", "choice = 'b\"'",
		"choice = 'a'", "token = '00112233-4455-6677-8899-AABBCCDDEEFF'", "data = x'00ff0a0d225c'", "data = ''", "data = repeat('x', 300)", "stamp = '2020-10-25 00:30:00.123456'",
		"stamp = '2020-10-25 01:30:00.000001'", "stamp = '1970-01-01 00:00:01'", "stamp = '2038-01-19 03:14:07.999999'", "day = '2020-02-29'", "day = '0001-01-01'", "moment = '2020-01-02 03:04:05.678'",
		"moment = '9999-12-31 23:59:59.999'", `doc = '{"b": 1.50, "a": [null, true, "x\\u0000é"], "b": 2}'`, "doc = '5'", "doc = '\"text\"'", "year = 1999", "year = 0",
	} {
		id := int64(i + 1)
		b.exec("INSERT INTO foreigners (id) VALUES (?)", id)
		b.exec("UPDATE foreigners SET "+set+" WHERE id = ?", id)
		t.Run(set, func(t *testing.T) { checkImage(t, b, id) })
	}
}

func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
