CREATE TABLE "cape_meta" (
	"key" TEXT NOT NULL,
	"value" TEXT NOT NULL,
	PRIMARY KEY ("key")
);
INSERT INTO "cape_meta" ("key", "value") VALUES ('format', '1');
CREATE TABLE "owners" (
	"id" TEXT NOT NULL,
	"name" TEXT NOT NULL,
	PRIMARY KEY ("id")
);
CREATE TABLE "items" (
	"id" INTEGER PRIMARY KEY AUTOINCREMENT,
	"owner_id" TEXT NOT NULL,
	"title" TEXT NOT NULL,
	CONSTRAINT "fk_owners_items" FOREIGN KEY ("owner_id") REFERENCES "owners" ("id") ON DELETE CASCADE
);
CREATE TABLE "everythings" (
	"id" INTEGER PRIMARY KEY AUTOINCREMENT,
	"flag" BOOLEAN NOT NULL,
	"on" BOOLEAN NOT NULL DEFAULT 1,
	"small" INTEGER NOT NULL,
	"number" INTEGER NOT NULL DEFAULT 7,
	"unsigned" INTEGER NOT NULL,
	"single" REAL NOT NULL,
	"double" REAL NOT NULL DEFAULT 1.5,
	"price" TEXT NOT NULL DEFAULT '0.5',
	"text" TEXT NOT NULL DEFAULT 'it''s',
	"short" TEXT NOT NULL,
	"email" TEXT NOT NULL,
	"backslash" TEXT NOT NULL DEFAULT 'a\b',
	"token" TEXT NOT NULL,
	"data" BLOB,
	"picture" BLOB,
	"at" DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
	"since" DATETIME NOT NULL DEFAULT '2020-01-02T00:00:00.000000Z',
	"document" TEXT,
	"tags" TEXT,
	"maybe_text" TEXT,
	"maybe_int" INTEGER,
	"order" varchar(30) NOT NULL,
	"CamelCase" TEXT NOT NULL,
	"parent_id" INTEGER,
	"created_at" DATETIME NOT NULL,
	"updated_at" DATETIME NOT NULL,
	"deleted_at" DATETIME,
	CONSTRAINT "uni_everythings_email" UNIQUE ("email"),
	CONSTRAINT "fk_everythings_parent" FOREIGN KEY ("parent_id") REFERENCES "everythings" ("id") ON DELETE SET NULL ON UPDATE CASCADE,
	CONSTRAINT "chk_everythings_email" CHECK (email <> '')
);
CREATE INDEX "idx_numbers" ON "everythings" ("number" desc, "small");
CREATE UNIQUE INDEX "idx_everythings_short" ON "everythings" ("short");
CREATE INDEX "idx_everythings_token" ON "everythings" ("token") WHERE flag = true;
CREATE INDEX "idx_everythings_order" ON "everythings" ("order");
CREATE INDEX "idx_everythings_parent_id" ON "everythings" ("parent_id");
CREATE INDEX "idx_everythings_deleted_at" ON "everythings" ("deleted_at");
