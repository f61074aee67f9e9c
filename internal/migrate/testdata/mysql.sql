CREATE TABLE `cape_meta` (
	`key` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
	`value` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
	PRIMARY KEY (`key`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
INSERT INTO `cape_meta` (`key`, `value`) VALUES ('format', '1');
CREATE TABLE `owners` (
	`id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
	`name` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
	PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
CREATE TABLE `items` (
	`id` bigint NOT NULL AUTO_INCREMENT,
	`owner_id` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
	`title` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
	PRIMARY KEY (`id`),
	CONSTRAINT `fk_owners_items` FOREIGN KEY (`owner_id`) REFERENCES `owners` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
CREATE TABLE `everythings` (
	`id` bigint NOT NULL AUTO_INCREMENT,
	`flag` tinyint(1) NOT NULL,
	`on` tinyint(1) NOT NULL DEFAULT 1,
	`small` bigint NOT NULL,
	`number` bigint NOT NULL DEFAULT 7,
	`unsigned` bigint NOT NULL,
	`single` double NOT NULL,
	`double` double NOT NULL DEFAULT 1.5,
	`price` decimal(12,2) NOT NULL DEFAULT 0.5,
	`text` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL DEFAULT ('it''s'),
	`short` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
	`email` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
	`backslash` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL DEFAULT (concat('a', char(92 using utf8mb4), 'b')),
	`token` char(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
	`data` varbinary(100),
	`picture` longblob,
	`at` datetime(6) NOT NULL DEFAULT (utc_timestamp(6)),
	`since` datetime(6) NOT NULL DEFAULT '2020-01-02 00:00:00.000000',
	`document` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin,
	`tags` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin,
	`maybe_text` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin,
	`maybe_int` bigint,
	`order` varchar(30) NOT NULL,
	`CamelCase` varchar(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
	`parent_id` bigint,
	`created_at` datetime(6) NOT NULL,
	`updated_at` datetime(6) NOT NULL,
	`deleted_at` datetime(6),
	PRIMARY KEY (`id`),
	CONSTRAINT `uni_everythings_email` UNIQUE (`email`),
	CONSTRAINT `fk_everythings_parent` FOREIGN KEY (`parent_id`) REFERENCES `everythings` (`id`) ON DELETE SET NULL ON UPDATE CASCADE,
	CONSTRAINT `chk_everythings_email` CHECK (email <> '')
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
CREATE INDEX `idx_numbers` ON `everythings` (`number` desc, `small`);
CREATE UNIQUE INDEX `idx_everythings_short` ON `everythings` (`short`);
CREATE INDEX `idx_everythings_token` ON `everythings` (`token`);
CREATE INDEX `idx_everythings_order` ON `everythings` (`order`(10));
CREATE INDEX `idx_everythings_parent_id` ON `everythings` (`parent_id`);
CREATE INDEX `idx_everythings_deleted_at` ON `everythings` (`deleted_at`);
