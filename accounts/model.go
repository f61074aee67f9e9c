package accounts

import (
	"time"
)

// User is the account; embed it to add fields.
type User struct {
	ID            string    `json:"id" gorm:"primaryKey;size:36" cape:"readonly"` // UUIDv7
	Email         string    `json:"email" gorm:"uniqueIndex;size:254;not null" cape:"readonly"`
	EmailVerified bool      `json:"email_verified" cape:"readonly"`
	Roles         []string  `json:"roles" gorm:"serializer:json" cape:"readonly"`
	PasswordHash  string    `json:"-" gorm:"size:255" cape:"secret"`
	CreatedAt     time.Time `json:"created_at"`
}

// account is how New finds the User in a model that embeds it.
func (u *User) account() *User { return u }

// Session is a sign-in that lasts: its token is in a cookie or with a program. To delete it is to revoke it.
type Session struct {
	ID        string    `json:"id" gorm:"primaryKey;size:36" cape:"readonly"`
	UserID    string    `json:"user_id" gorm:"index;size:36;not null" cape:"readonly"`
	TokenHash string    `json:"-" gorm:"uniqueIndex;size:43" cape:"secret"`
	Address   string    `json:"address" gorm:"size:45" cape:"readonly"` // of the client, when it signed in
	UserAgent string    `json:"user_agent" gorm:"size:255" cape:"readonly"`
	CreatedAt time.Time `json:"created_at" cape:"readonly"`
	SeenAt    time.Time `json:"seen_at" cape:"readonly"`                 // to within the hour
	ExpiresAt time.Time `json:"expires_at" gorm:"index" cape:"readonly"` // unless it is used before
	EndsAt    time.Time `json:"ends_at" cape:"readonly"`                 // however much it is used
}

// TableName implements schema.Tabler.
func (Session) TableName() string { return "auth_sessions" }

// Key is an API key: a program's credential that acts for its owner, with some of the owner's roles.
type Key struct {
	ID        string     `json:"id" gorm:"primaryKey;size:36" cape:"readonly"`
	UserID    string     `json:"user_id" gorm:"index;size:36;not null" cape:"readonly"`
	Name      string     `json:"name" gorm:"size:100" cape:"readonly"`
	Hint      string     `json:"hint" gorm:"size:16" cape:"readonly"` // how the key begins
	KeyHash   string     `json:"-" gorm:"uniqueIndex;size:43" cape:"secret"`
	Roles     []string   `json:"roles" gorm:"serializer:json" cape:"readonly"` // those of them that the owner has count
	ReadOnly  bool       `json:"read_only" cape:"readonly"`
	CreatedAt time.Time  `json:"created_at" cape:"readonly"`
	SeenAt    *time.Time `json:"seen_at" cape:"readonly"`    // to within the hour
	ExpiresAt *time.Time `json:"expires_at" cape:"readonly"` // null: never
}

// TableName implements schema.Tabler.
func (Key) TableName() string { return "auth_keys" }

// ticket is what the token of a mail stands for. It is good for one use.
type ticket struct {
	ID        string `gorm:"primaryKey;size:36"`
	UserID    string `gorm:"index;size:36;not null"`
	Purpose   string `gorm:"size:16"`
	TokenHash string `gorm:"uniqueIndex;size:43" cape:"secret"`
	Email     string `gorm:"size:254"` // that the mail went to
	// PasswordHash is of the password that was given when somebody registered with the address. Whoever has the mail
	// confirms that password, not one that a stranger chose who registered the same address before or after.
	PasswordHash string `gorm:"size:255" cape:"secret"`
	CreatedAt    time.Time
	ExpiresAt    time.Time `gorm:"index"`
}

// TableName implements schema.Tabler.
func (ticket) TableName() string { return "auth_tickets" }

// The purposes of tickets.
const (
	verifyEmail   = "verify"
	resetPassword = "reset"
	changeEmail   = "change"
)

// counter counts failures of an account or an address, for all processes.
type counter struct {
	ID       string `gorm:"primaryKey;size:64"` // a hash: it may be of what a stranger typed
	Failures int64
	EndsAt   time.Time `gorm:"index"` // the window
}

// TableName implements schema.Tabler.
func (counter) TableName() string { return "auth_counters" }
