CREATE TABLE cape_consumer (`name` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, `position` bigint NOT NULL, `nonce` bigint NOT NULL, `tries` bigint NOT NULL, `owner` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, `leased` bigint NOT NULL, `fence` bigint NOT NULL, `registered` bigint NOT NULL, PRIMARY KEY (`name`));
CREATE TABLE cape_dead_letter (`consumer` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, `position` bigint NOT NULL, `nonce` bigint NOT NULL, `tries` bigint NOT NULL, `error` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, `at` bigint NOT NULL, `entry` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, PRIMARY KEY (`consumer`, `position`, `nonce`));
CREATE TABLE cape_event (`id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, `document` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, PRIMARY KEY (`id`));
CREATE TABLE IF NOT EXISTS cape_journal (`id` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, `at` DATETIME(6) NOT NULL, `v` SMALLINT NOT NULL, `tbl` VARCHAR(191) NOT NULL, `op` CHAR(1) NOT NULL, `key` LONGTEXT, `old` LONGTEXT, `new` LONGTEXT, `tx` VARCHAR(64), `actor` LONGTEXT, `db_user` VARCHAR(512)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS cape_tick (`id` BIGINT NOT NULL PRIMARY KEY, `nonce` BIGINT NOT NULL, `mark` BIGINT NOT NULL, `first_pos` BIGINT NOT NULL, `last_pos` BIGINT NOT NULL, `high` BIGINT NOT NULL, `ids` LONGTEXT NOT NULL, `holes` LONGTEXT NOT NULL, `at` DATETIME(6) NOT NULL, KEY `cape_tick_pos` (`last_pos`)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO cape_tick (`id`, `nonce`, `mark`, `first_pos`, `last_pos`, `high`, `ids`, `holes`, `at`) VALUES (0, 0, 0, 0, 0, 0, '', '', UTC_TIMESTAMP(6));
INSERT IGNORE INTO cape_meta (`key`, `value`) VALUES ('journal.floor', '0 0');
REPLACE INTO cape_meta (`key`, `value`) VALUES ('journal.epoch', '55a89be326fe774a');
REPLACE INTO cape_meta (`key`, `value`) VALUES ('journal.format', '1');
CREATE TRIGGER `cape_items_i` AFTER INSERT ON `items` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","name","count"],"secret":["token"],"shape":"3263b7b1027c08ab"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'items', 'I', CONCAT('[', NEW.`id`, ']'), NULL, CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), ',"name":', IFNULL(JSON_QUOTE(NEW.`name`), 'null'), ',"count":', IFNULL(NEW.`count`, 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_items_u` AFTER UPDATE ON `items` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","name","count"],"secret":["token"],"shape":"3263b7b1027c08ab"} */';
	DECLARE cape_old LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), ',"name":', IFNULL(JSON_QUOTE(OLD.`name`), 'null'), ',"count":', IFNULL(OLD.`count`, 'null'), '}');
	DECLARE cape_new LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), ',"name":', IFNULL(JSON_QUOTE(NEW.`name`), 'null'), ',"count":', IFNULL(NEW.`count`, 'null'), '}');
	DECLARE cape_from LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', OLD.`id`, ']');
	DECLARE cape_to LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', NEW.`id`, ']');
	DECLARE cape_hidden LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"token":', IFNULL(JSON_QUOTE(OLD.`token`), 'null'), '}');
	DECLARE cape_shown LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"token":', IFNULL(JSON_QUOTE(NEW.`token`), 'null'), '}');
	IF (OLD.`id` <=> NEW.`id` AND OLD.`name` <=> NEW.`name`) IS NOT TRUE AND NOT EXISTS (SELECT 1 FROM `items` c0 WHERE c0.`id` <=> NEW.`id` AND c0.`name` <=> NEW.`name`) AND EXISTS (SELECT 1 FROM `items` c0 WHERE c0.`id` <=> OLD.`id` AND c0.`name` <=> OLD.`name`) THEN
		SET cape_new = cape_old, cape_to = cape_from, cape_shown = cape_hidden;
	END IF;
	IF cape_from <> cape_to THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'items', 'D', cape_from, cape_old, NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'items', 'I', cape_to, NULL, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	ELSEIF (cape_old = cape_new AND cape_hidden = cape_shown) IS NOT TRUE THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'items', 'U', cape_to, cape_old, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	END IF;
END;
CREATE TRIGGER `cape_items_d` AFTER DELETE ON `items` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","name","count"],"secret":["token"],"shape":"3263b7b1027c08ab"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'items', 'D', CONCAT('[', OLD.`id`, ']'), CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), ',"name":', IFNULL(JSON_QUOTE(OLD.`name`), 'null'), ',"count":', IFNULL(OLD.`count`, 'null'), '}'), NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_everythings_i` AFTER INSERT ON `everythings` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","flag","number","double","price","text","uuid","data","at","doc","comment"],"shape":"98147f76065a90aa"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'everythings', 'I', CONCAT('[', NEW.`id`, ']'), NULL, CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), ',"flag":', IFNULL(NEW.`flag`, 'null'), ',"number":', IFNULL(NEW.`number`, 'null'), ',"double":', IFNULL(NEW.`double`, 'null'), ',"price":', IFNULL(NEW.`price`, 'null'), ',"text":', IFNULL(JSON_QUOTE(NEW.`text`), 'null'), ',"uuid":', IFNULL(JSON_QUOTE(NEW.`uuid`), 'null'), ',"data":', IFNULL(CONCAT('{"$blob":"', REPLACE(TO_BASE64(NEW.`data`), CHAR(10 USING utf8mb4), ''), '"}'), 'null'), ',"at":', IFNULL(CONCAT('"', NEW.`at`, '"'), 'null'), ',"doc":', IFNULL(JSON_QUOTE(NEW.`doc`), 'null'), ',"comment":', IFNULL(JSON_QUOTE(NEW.`comment`), 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_everythings_u` AFTER UPDATE ON `everythings` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","flag","number","double","price","text","uuid","data","at","doc","comment"],"shape":"98147f76065a90aa"} */';
	DECLARE cape_old LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), ',"flag":', IFNULL(OLD.`flag`, 'null'), ',"number":', IFNULL(OLD.`number`, 'null'), ',"double":', IFNULL(OLD.`double`, 'null'), ',"price":', IFNULL(OLD.`price`, 'null'), ',"text":', IFNULL(JSON_QUOTE(OLD.`text`), 'null'), ',"uuid":', IFNULL(JSON_QUOTE(OLD.`uuid`), 'null'), ',"data":', IFNULL(CONCAT('{"$blob":"', REPLACE(TO_BASE64(OLD.`data`), CHAR(10 USING utf8mb4), ''), '"}'), 'null'), ',"at":', IFNULL(CONCAT('"', OLD.`at`, '"'), 'null'), ',"doc":', IFNULL(JSON_QUOTE(OLD.`doc`), 'null'), ',"comment":', IFNULL(JSON_QUOTE(OLD.`comment`), 'null'), '}');
	DECLARE cape_new LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), ',"flag":', IFNULL(NEW.`flag`, 'null'), ',"number":', IFNULL(NEW.`number`, 'null'), ',"double":', IFNULL(NEW.`double`, 'null'), ',"price":', IFNULL(NEW.`price`, 'null'), ',"text":', IFNULL(JSON_QUOTE(NEW.`text`), 'null'), ',"uuid":', IFNULL(JSON_QUOTE(NEW.`uuid`), 'null'), ',"data":', IFNULL(CONCAT('{"$blob":"', REPLACE(TO_BASE64(NEW.`data`), CHAR(10 USING utf8mb4), ''), '"}'), 'null'), ',"at":', IFNULL(CONCAT('"', NEW.`at`, '"'), 'null'), ',"doc":', IFNULL(JSON_QUOTE(NEW.`doc`), 'null'), ',"comment":', IFNULL(JSON_QUOTE(NEW.`comment`), 'null'), '}');
	DECLARE cape_from LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', OLD.`id`, ']');
	DECLARE cape_to LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', NEW.`id`, ']');
	IF (OLD.`id` <=> NEW.`id`) IS NOT TRUE AND NOT EXISTS (SELECT 1 FROM `everythings` c0 WHERE c0.`id` <=> NEW.`id`) AND EXISTS (SELECT 1 FROM `everythings` c0 WHERE c0.`id` <=> OLD.`id`) THEN
		SET cape_new = cape_old, cape_to = cape_from;
	END IF;
	IF cape_from <> cape_to THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'everythings', 'D', cape_from, cape_old, NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'everythings', 'I', cape_to, NULL, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	ELSEIF (cape_old = cape_new) IS NOT TRUE THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'everythings', 'U', cape_to, cape_old, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	END IF;
END;
CREATE TRIGGER `cape_everythings_d` AFTER DELETE ON `everythings` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","flag","number","double","price","text","uuid","data","at","doc","comment"],"shape":"98147f76065a90aa"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'everythings', 'D', CONCAT('[', OLD.`id`, ']'), CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), ',"flag":', IFNULL(OLD.`flag`, 'null'), ',"number":', IFNULL(OLD.`number`, 'null'), ',"double":', IFNULL(OLD.`double`, 'null'), ',"price":', IFNULL(OLD.`price`, 'null'), ',"text":', IFNULL(JSON_QUOTE(OLD.`text`), 'null'), ',"uuid":', IFNULL(JSON_QUOTE(OLD.`uuid`), 'null'), ',"data":', IFNULL(CONCAT('{"$blob":"', REPLACE(TO_BASE64(OLD.`data`), CHAR(10 USING utf8mb4), ''), '"}'), 'null'), ',"at":', IFNULL(CONCAT('"', OLD.`at`, '"'), 'null'), ',"doc":', IFNULL(JSON_QUOTE(OLD.`doc`), 'null'), ',"comment":', IFNULL(JSON_QUOTE(OLD.`comment`), 'null'), '}'), NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
END;
REPLACE INTO cape_meta (`key`, `value`) VALUES ('journal.table.items', CONCAT('1 ', TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))));
REPLACE INTO cape_meta (`key`, `value`) VALUES ('journal.table.everythings', CONCAT('1 ', TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))));
CREATE INDEX cape_journal_row ON cape_journal (`tbl`, `key`(191)) ALGORITHM=INPLACE LOCK=NONE;
REPLACE INTO cape_meta (`key`, `value`) VALUES ('journal.history.items', '1');
