CREATE TABLE cape_consumer (`name` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL, `position` bigint NOT NULL, `nonce` bigint NOT NULL, `tries` bigint NOT NULL, `owner` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL, `leased` bigint NOT NULL, `fence` bigint NOT NULL, `registered` bigint NOT NULL, PRIMARY KEY (`name`));
CREATE TABLE cape_dead_letter (`consumer` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL, `position` bigint NOT NULL, `nonce` bigint NOT NULL, `tries` bigint NOT NULL, `error` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL, `at` bigint NOT NULL, `entry` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL, PRIMARY KEY (`consumer`, `position`, `nonce`));
CREATE TABLE cape_event (`id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL, `document` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL, PRIMARY KEY (`id`));
CREATE TABLE IF NOT EXISTS cape_journal (`id` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, `at` DATETIME(6) NOT NULL, `v` SMALLINT NOT NULL, `tbl` VARCHAR(191) NOT NULL, `op` CHAR(1) NOT NULL, `key` LONGTEXT, `old` LONGTEXT, `new` LONGTEXT, `tx` VARCHAR(64), `actor` LONGTEXT, `db_user` VARCHAR(512)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS cape_tick (`id` BIGINT NOT NULL PRIMARY KEY, `nonce` BIGINT NOT NULL, `mark` BIGINT NOT NULL, `first_pos` BIGINT NOT NULL, `last_pos` BIGINT NOT NULL, `high` BIGINT NOT NULL, `ids` LONGTEXT NOT NULL, `holes` LONGTEXT NOT NULL, `at` DATETIME(6) NOT NULL, KEY `cape_tick_pos` (`last_pos`)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO cape_tick (`id`, `nonce`, `mark`, `first_pos`, `last_pos`, `high`, `ids`, `holes`, `at`) VALUES (0, 0, 0, 0, 0, 0, '', '', UTC_TIMESTAMP(6));
INSERT IGNORE INTO cape_meta (`key`, `value`) VALUES ('journal.floor', '0 0');
journal.epoch
REPLACE INTO cape_meta (`key`, `value`) VALUES ('journal.format', '1');
CREATE TRIGGER `cape_branches_i` AFTER INSERT ON `branches` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","owner_id","twig_id","size"],"shape":"2aa7745b5ed57380"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'branches', 'I', CONCAT('[', NEW.`id`, ']'), NULL, CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), ',"owner_id":', IFNULL(NEW.`owner_id`, 'null'), ',"twig_id":', IFNULL(NEW.`twig_id`, 'null'), ',"size":', IFNULL(NEW.`size`, 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_branches_u` AFTER UPDATE ON `branches` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","owner_id","twig_id","size"],"shape":"2aa7745b5ed57380"} */';
	DECLARE cape_old LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), ',"owner_id":', IFNULL(OLD.`owner_id`, 'null'), ',"twig_id":', IFNULL(OLD.`twig_id`, 'null'), ',"size":', IFNULL(OLD.`size`, 'null'), '}');
	DECLARE cape_new LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), ',"owner_id":', IFNULL(NEW.`owner_id`, 'null'), ',"twig_id":', IFNULL(NEW.`twig_id`, 'null'), ',"size":', IFNULL(NEW.`size`, 'null'), '}');
	DECLARE cape_from LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', OLD.`id`, ']');
	DECLARE cape_to LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', NEW.`id`, ']');
	IF (OLD.`id` <=> NEW.`id` AND OLD.`owner_id` <=> NEW.`owner_id` AND OLD.`twig_id` <=> NEW.`twig_id`) IS NOT TRUE AND NOT EXISTS (SELECT 1 FROM `branches` c0 WHERE c0.`id` <=> NEW.`id` AND c0.`owner_id` <=> NEW.`owner_id` AND c0.`twig_id` <=> NEW.`twig_id`) AND EXISTS (SELECT 1 FROM `branches` c0 WHERE c0.`id` <=> OLD.`id` AND c0.`owner_id` <=> OLD.`owner_id` AND c0.`twig_id` <=> OLD.`twig_id`) THEN
		SET cape_new = cape_old, cape_to = cape_from;
	END IF;
	IF cape_from <> cape_to THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'branches', 'D', cape_from, cape_old, NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'branches', 'I', cape_to, NULL, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	ELSEIF (cape_old = cape_new) IS NOT TRUE THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'branches', 'U', cape_to, cape_old, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	END IF;
END;
CREATE TRIGGER `cape_branches_d` AFTER DELETE ON `branches` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","owner_id","twig_id","size"],"shape":"2aa7745b5ed57380"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'branches', 'D', CONCAT('[', OLD.`id`, ']'), CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), ',"owner_id":', IFNULL(OLD.`owner_id`, 'null'), ',"twig_id":', IFNULL(OLD.`twig_id`, 'null'), ',"size":', IFNULL(OLD.`size`, 'null'), '}'), NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_leaves_i` AFTER INSERT ON `leaves` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","branch_id","spare_id","owner_id"],"secret":["token"],"shape":"f7b9249b748eae96"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'leaves', 'I', CONCAT('[', NEW.`id`, ']'), NULL, CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), ',"branch_id":', IFNULL(NEW.`branch_id`, 'null'), ',"spare_id":', IFNULL(NEW.`spare_id`, 'null'), ',"owner_id":', IFNULL(NEW.`owner_id`, 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_leaves_u` AFTER UPDATE ON `leaves` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","branch_id","spare_id","owner_id"],"secret":["token"],"shape":"f7b9249b748eae96"} */';
	DECLARE cape_old LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), ',"branch_id":', IFNULL(OLD.`branch_id`, 'null'), ',"spare_id":', IFNULL(OLD.`spare_id`, 'null'), ',"owner_id":', IFNULL(OLD.`owner_id`, 'null'), '}');
	DECLARE cape_new LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), ',"branch_id":', IFNULL(NEW.`branch_id`, 'null'), ',"spare_id":', IFNULL(NEW.`spare_id`, 'null'), ',"owner_id":', IFNULL(NEW.`owner_id`, 'null'), '}');
	DECLARE cape_from LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', OLD.`id`, ']');
	DECLARE cape_to LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', NEW.`id`, ']');
	DECLARE cape_hidden LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"token":', IFNULL(JSON_QUOTE(OLD.`token`), 'null'), '}');
	DECLARE cape_shown LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"token":', IFNULL(JSON_QUOTE(NEW.`token`), 'null'), '}');
	IF (OLD.`id` <=> NEW.`id` AND OLD.`branch_id` <=> NEW.`branch_id` AND OLD.`spare_id` <=> NEW.`spare_id` AND OLD.`owner_id` <=> NEW.`owner_id`) IS NOT TRUE AND NOT EXISTS (SELECT 1 FROM `leaves` c0 WHERE c0.`id` <=> NEW.`id` AND c0.`branch_id` <=> NEW.`branch_id` AND c0.`spare_id` <=> NEW.`spare_id` AND c0.`owner_id` <=> NEW.`owner_id`) AND EXISTS (SELECT 1 FROM `leaves` c0 WHERE c0.`id` <=> OLD.`id` AND c0.`branch_id` <=> OLD.`branch_id` AND c0.`spare_id` <=> OLD.`spare_id` AND c0.`owner_id` <=> OLD.`owner_id`) THEN
		SET cape_new = cape_old, cape_to = cape_from, cape_shown = cape_hidden;
	END IF;
	IF cape_from <> cape_to THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'leaves', 'D', cape_from, cape_old, NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'leaves', 'I', cape_to, NULL, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	ELSEIF (cape_old = cape_new AND cape_hidden = cape_shown) IS NOT TRUE THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'leaves', 'U', cape_to, cape_old, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	END IF;
END;
CREATE TRIGGER `cape_leaves_d` AFTER DELETE ON `leaves` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","branch_id","spare_id","owner_id"],"secret":["token"],"shape":"f7b9249b748eae96"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'leaves', 'D', CONCAT('[', OLD.`id`, ']'), CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), ',"branch_id":', IFNULL(OLD.`branch_id`, 'null'), ',"spare_id":', IFNULL(OLD.`spare_id`, 'null'), ',"owner_id":', IFNULL(OLD.`owner_id`, 'null'), '}'), NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_foreigners_i` AFTER INSERT ON `foreigners` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","flag","bit","small","unsigned","single","fixed","amount","text","latin","code","choice","token","data","stamp","day","moment","doc","year"],"shape":"8e8944af6221a586"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'foreigners', 'I', CONCAT('[', NEW.`id`, ']'), NULL, CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), ',"flag":', IFNULL(NEW.`flag`, 'null'), ',"bit":', IFNULL((NEW.`bit` + 0), 'null'), ',"small":', IFNULL(NEW.`small`, 'null'), ',"unsigned":', IFNULL(NEW.`unsigned`, 'null'), ',"single":', IFNULL((NEW.`single` + 0e0), 'null'), ',"fixed":', IFNULL(NEW.`fixed`, 'null'), ',"amount":', IFNULL(NEW.`amount`, 'null'), ',"text":', IFNULL(JSON_QUOTE(NEW.`text`), 'null'), ',"latin":', IFNULL(JSON_QUOTE(CONVERT(NEW.`latin` USING utf8mb4)), 'null'), ',"code":', IFNULL(JSON_QUOTE(NEW.`code`), 'null'), ',"choice":', IFNULL(JSON_QUOTE(CONVERT(NEW.`choice` USING utf8mb4)), 'null'), ',"token":', IFNULL(JSON_QUOTE(CONVERT(NEW.`token` USING utf8mb4)), 'null'), ',"data":', IFNULL(CONCAT('{"$blob":"', REPLACE(TO_BASE64(NEW.`data`), CHAR(10 USING utf8mb4), ''), '"}'), 'null'), ',"stamp":', IFNULL(UNIX_TIMESTAMP(NEW.`stamp`), 'null'), ',"day":', IFNULL(CONCAT('"', NEW.`day`, '"'), 'null'), ',"moment":', IFNULL(CONCAT('"', NEW.`moment`, '"'), 'null'), ',"doc":', IFNULL(JSON_QUOTE(NEW.`doc`), 'null'), ',"year":', IFNULL(NEW.`year`, 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_foreigners_u` AFTER UPDATE ON `foreigners` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","flag","bit","small","unsigned","single","fixed","amount","text","latin","code","choice","token","data","stamp","day","moment","doc","year"],"shape":"8e8944af6221a586"} */';
	DECLARE cape_old LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), ',"flag":', IFNULL(OLD.`flag`, 'null'), ',"bit":', IFNULL((OLD.`bit` + 0), 'null'), ',"small":', IFNULL(OLD.`small`, 'null'), ',"unsigned":', IFNULL(OLD.`unsigned`, 'null'), ',"single":', IFNULL((OLD.`single` + 0e0), 'null'), ',"fixed":', IFNULL(OLD.`fixed`, 'null'), ',"amount":', IFNULL(OLD.`amount`, 'null'), ',"text":', IFNULL(JSON_QUOTE(OLD.`text`), 'null'), ',"latin":', IFNULL(JSON_QUOTE(CONVERT(OLD.`latin` USING utf8mb4)), 'null'), ',"code":', IFNULL(JSON_QUOTE(OLD.`code`), 'null'), ',"choice":', IFNULL(JSON_QUOTE(CONVERT(OLD.`choice` USING utf8mb4)), 'null'), ',"token":', IFNULL(JSON_QUOTE(CONVERT(OLD.`token` USING utf8mb4)), 'null'), ',"data":', IFNULL(CONCAT('{"$blob":"', REPLACE(TO_BASE64(OLD.`data`), CHAR(10 USING utf8mb4), ''), '"}'), 'null'), ',"stamp":', IFNULL(UNIX_TIMESTAMP(OLD.`stamp`), 'null'), ',"day":', IFNULL(CONCAT('"', OLD.`day`, '"'), 'null'), ',"moment":', IFNULL(CONCAT('"', OLD.`moment`, '"'), 'null'), ',"doc":', IFNULL(JSON_QUOTE(OLD.`doc`), 'null'), ',"year":', IFNULL(OLD.`year`, 'null'), '}');
	DECLARE cape_new LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), ',"flag":', IFNULL(NEW.`flag`, 'null'), ',"bit":', IFNULL((NEW.`bit` + 0), 'null'), ',"small":', IFNULL(NEW.`small`, 'null'), ',"unsigned":', IFNULL(NEW.`unsigned`, 'null'), ',"single":', IFNULL((NEW.`single` + 0e0), 'null'), ',"fixed":', IFNULL(NEW.`fixed`, 'null'), ',"amount":', IFNULL(NEW.`amount`, 'null'), ',"text":', IFNULL(JSON_QUOTE(NEW.`text`), 'null'), ',"latin":', IFNULL(JSON_QUOTE(CONVERT(NEW.`latin` USING utf8mb4)), 'null'), ',"code":', IFNULL(JSON_QUOTE(NEW.`code`), 'null'), ',"choice":', IFNULL(JSON_QUOTE(CONVERT(NEW.`choice` USING utf8mb4)), 'null'), ',"token":', IFNULL(JSON_QUOTE(CONVERT(NEW.`token` USING utf8mb4)), 'null'), ',"data":', IFNULL(CONCAT('{"$blob":"', REPLACE(TO_BASE64(NEW.`data`), CHAR(10 USING utf8mb4), ''), '"}'), 'null'), ',"stamp":', IFNULL(UNIX_TIMESTAMP(NEW.`stamp`), 'null'), ',"day":', IFNULL(CONCAT('"', NEW.`day`, '"'), 'null'), ',"moment":', IFNULL(CONCAT('"', NEW.`moment`, '"'), 'null'), ',"doc":', IFNULL(JSON_QUOTE(NEW.`doc`), 'null'), ',"year":', IFNULL(NEW.`year`, 'null'), '}');
	DECLARE cape_from LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', OLD.`id`, ']');
	DECLARE cape_to LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', NEW.`id`, ']');
	IF (OLD.`id` <=> NEW.`id`) IS NOT TRUE AND NOT EXISTS (SELECT 1 FROM `foreigners` c0 WHERE c0.`id` <=> NEW.`id`) AND EXISTS (SELECT 1 FROM `foreigners` c0 WHERE c0.`id` <=> OLD.`id`) THEN
		SET cape_new = cape_old, cape_to = cape_from;
	END IF;
	IF cape_from <> cape_to THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'foreigners', 'D', cape_from, cape_old, NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'foreigners', 'I', cape_to, NULL, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	ELSEIF (cape_old = cape_new) IS NOT TRUE THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'foreigners', 'U', cape_to, cape_old, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	END IF;
END;
CREATE TRIGGER `cape_foreigners_d` AFTER DELETE ON `foreigners` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","flag","bit","small","unsigned","single","fixed","amount","text","latin","code","choice","token","data","stamp","day","moment","doc","year"],"shape":"8e8944af6221a586"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'foreigners', 'D', CONCAT('[', OLD.`id`, ']'), CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), ',"flag":', IFNULL(OLD.`flag`, 'null'), ',"bit":', IFNULL((OLD.`bit` + 0), 'null'), ',"small":', IFNULL(OLD.`small`, 'null'), ',"unsigned":', IFNULL(OLD.`unsigned`, 'null'), ',"single":', IFNULL((OLD.`single` + 0e0), 'null'), ',"fixed":', IFNULL(OLD.`fixed`, 'null'), ',"amount":', IFNULL(OLD.`amount`, 'null'), ',"text":', IFNULL(JSON_QUOTE(OLD.`text`), 'null'), ',"latin":', IFNULL(JSON_QUOTE(CONVERT(OLD.`latin` USING utf8mb4)), 'null'), ',"code":', IFNULL(JSON_QUOTE(OLD.`code`), 'null'), ',"choice":', IFNULL(JSON_QUOTE(CONVERT(OLD.`choice` USING utf8mb4)), 'null'), ',"token":', IFNULL(JSON_QUOTE(CONVERT(OLD.`token` USING utf8mb4)), 'null'), ',"data":', IFNULL(CONCAT('{"$blob":"', REPLACE(TO_BASE64(OLD.`data`), CHAR(10 USING utf8mb4), ''), '"}'), 'null'), ',"stamp":', IFNULL(UNIX_TIMESTAMP(OLD.`stamp`), 'null'), ',"day":', IFNULL(CONCAT('"', OLD.`day`, '"'), 'null'), ',"moment":', IFNULL(CONCAT('"', OLD.`moment`, '"'), 'null'), ',"doc":', IFNULL(JSON_QUOTE(OLD.`doc`), 'null'), ',"year":', IFNULL(OLD.`year`, 'null'), '}'), NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_o'dd "Ta-ble_i` AFTER INSERT ON `o'dd "Ta-ble` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","it~u0027s ~"na*~u002fme"],"shape":"a577d4ab5693c3c3"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'o''dd "ta-ble', 'I', CONCAT('[', NEW.`id`, ']'), NULL, CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), CONVERT(x'2c2269742773205c75303032326e612a2f6d65223a' USING utf8mb4), IFNULL(JSON_QUOTE(NEW.`it's "na*/me`), 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_o'dd "Ta-ble_u` AFTER UPDATE ON `o'dd "Ta-ble` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","it~u0027s ~"na*~u002fme"],"shape":"a577d4ab5693c3c3"} */';
	DECLARE cape_old LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), CONVERT(x'2c2269742773205c75303032326e612a2f6d65223a' USING utf8mb4), IFNULL(JSON_QUOTE(OLD.`it's "na*/me`), 'null'), '}');
	DECLARE cape_new LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('{"id":', IFNULL(NEW.`id`, 'null'), CONVERT(x'2c2269742773205c75303032326e612a2f6d65223a' USING utf8mb4), IFNULL(JSON_QUOTE(NEW.`it's "na*/me`), 'null'), '}');
	DECLARE cape_from LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', OLD.`id`, ']');
	DECLARE cape_to LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT('[', NEW.`id`, ']');
	IF (OLD.`id` <=> NEW.`id`) IS NOT TRUE AND NOT EXISTS (SELECT 1 FROM `o'dd "Ta-ble` c0 WHERE c0.`id` <=> NEW.`id`) AND EXISTS (SELECT 1 FROM `o'dd "Ta-ble` c0 WHERE c0.`id` <=> OLD.`id`) THEN
		SET cape_new = cape_old, cape_to = cape_from;
	END IF;
	IF cape_from <> cape_to THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'o''dd "ta-ble', 'D', cape_from, cape_old, NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'o''dd "ta-ble', 'I', cape_to, NULL, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	ELSEIF (cape_old = cape_new) IS NOT TRUE THEN
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'o''dd "ta-ble', 'U', cape_to, cape_old, cape_new, LEFT(@cape_tx, 64), @cape_actor, USER());
	END IF;
END;
CREATE TRIGGER `cape_o'dd "Ta-ble_d` AFTER DELETE ON `o'dd "Ta-ble` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["id","it~u0027s ~"na*~u002fme"],"shape":"a577d4ab5693c3c3"} */';
	INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) VALUES (UTC_TIMESTAMP(6), 1, 'o''dd "ta-ble', 'D', CONCAT('[', OLD.`id`, ']'), CONCAT('{"id":', IFNULL(OLD.`id`, 'null'), CONVERT(x'2c2269742773205c75303032326e612a2f6d65223a' USING utf8mb4), IFNULL(JSON_QUOTE(OLD.`it's "na*/me`), 'null'), '}'), NULL, LEFT(@cape_tx, 64), @cape_actor, USER());
END;
CREATE TRIGGER `cape_branches_b` BEFORE DELETE ON `branches` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["branches ~u003c branches.branch_twig","leaves ~u003c leaves.leaf_branch","leaves ~u003c leaves.leaf_spare"],"shape":"2a4a9dad3516869d"} */';
	DECLARE cape_rows BIGINT;
	IF @@SESSION.foreign_key_checks = 1 THEN
		SELECT COUNT(*) INTO cape_rows FROM `branches` c0 WHERE c0.`twig_id` = OLD.`id` AND NOT (c0.`id` <=> OLD.`id`) LOCK IN SHARE MODE;
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) SELECT UTC_TIMESTAMP(6), 1, 'branches', 'U', CONCAT('[', c0.`id`, ']'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), ',"twig_id":', IFNULL(c0.`twig_id`, 'null'), ',"size":', IFNULL(c0.`size`, 'null'), '}'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), ',"twig_id":', IFNULL(NULL, 'null'), ',"size":', IFNULL(c0.`size`, 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER() FROM `branches` c0 WHERE c0.`twig_id` = OLD.`id` AND NOT (c0.`id` <=> OLD.`id`) LOCK IN SHARE MODE;
		SELECT COUNT(*) INTO cape_rows FROM `leaves` c0 WHERE c0.`branch_id` = OLD.`id` LOCK IN SHARE MODE;
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) SELECT UTC_TIMESTAMP(6), 1, 'leaves', 'D', CONCAT('[', c0.`id`, ']'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"branch_id":', IFNULL(c0.`branch_id`, 'null'), ',"spare_id":', IFNULL(c0.`spare_id`, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), '}'), NULL, LEFT(@cape_tx, 64), @cape_actor, USER() FROM `leaves` c0 WHERE c0.`branch_id` = OLD.`id` LOCK IN SHARE MODE;
		SELECT COUNT(*) INTO cape_rows FROM `leaves` c0 WHERE c0.`spare_id` = OLD.`id` AND (c0.`branch_id` = OLD.`id`) IS NOT TRUE LOCK IN SHARE MODE;
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) SELECT UTC_TIMESTAMP(6), 1, 'leaves', 'U', CONCAT('[', c0.`id`, ']'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"branch_id":', IFNULL(c0.`branch_id`, 'null'), ',"spare_id":', IFNULL(c0.`spare_id`, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), '}'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"branch_id":', IFNULL(c0.`branch_id`, 'null'), ',"spare_id":', IFNULL(NULL, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER() FROM `leaves` c0 WHERE c0.`spare_id` = OLD.`id` AND (c0.`branch_id` = OLD.`id`) IS NOT TRUE LOCK IN SHARE MODE;
	END IF;
END;
CREATE TRIGGER `cape_owners_b` BEFORE DELETE ON `owners` FOR EACH ROW
BEGIN
	DECLARE cape_signature LONGTEXT DEFAULT '/* capebase journal 1 {"columns":["branches ~u003c branches.branch_owner","branches ~u003c branches.branch_twig ~u003c branches.branch_owner","leaves ~u003c leaves.leaf_branch ~u003c branches.branch_owner","leaves ~u003c leaves.leaf_owner","leaves ~u003c leaves.leaf_spare ~u003c branches.branch_owner"],"shape":"cd551409a05ae78d"} */';
	DECLARE cape_rows BIGINT;
	IF @@SESSION.foreign_key_checks = 1 THEN
		SELECT COUNT(*) INTO cape_rows FROM `branches` c0 WHERE c0.`owner_id` = OLD.`id` LOCK IN SHARE MODE;
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) SELECT UTC_TIMESTAMP(6), 1, 'branches', 'D', CONCAT('[', c0.`id`, ']'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), ',"twig_id":', IFNULL(c0.`twig_id`, 'null'), ',"size":', IFNULL(c0.`size`, 'null'), '}'), NULL, LEFT(@cape_tx, 64), @cape_actor, USER() FROM `branches` c0 WHERE c0.`owner_id` = OLD.`id` LOCK IN SHARE MODE;
		SELECT COUNT(*) INTO cape_rows FROM `branches` c0 JOIN `branches` c1 ON c0.`twig_id` = c1.`id` WHERE c1.`owner_id` = OLD.`id` AND (c0.`owner_id` = OLD.`id`) IS NOT TRUE LOCK IN SHARE MODE;
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) SELECT UTC_TIMESTAMP(6), 1, 'branches', 'U', CONCAT('[', c0.`id`, ']'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), ',"twig_id":', IFNULL(c0.`twig_id`, 'null'), ',"size":', IFNULL(c0.`size`, 'null'), '}'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), ',"twig_id":', IFNULL(NULL, 'null'), ',"size":', IFNULL(c0.`size`, 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER() FROM `branches` c0 JOIN `branches` c1 ON c0.`twig_id` = c1.`id` WHERE c1.`owner_id` = OLD.`id` AND (c0.`owner_id` = OLD.`id`) IS NOT TRUE LOCK IN SHARE MODE;
		SELECT COUNT(*) INTO cape_rows FROM `leaves` c0 JOIN `branches` c1 ON c0.`branch_id` = c1.`id` WHERE c1.`owner_id` = OLD.`id` LOCK IN SHARE MODE;
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) SELECT UTC_TIMESTAMP(6), 1, 'leaves', 'D', CONCAT('[', c0.`id`, ']'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"branch_id":', IFNULL(c0.`branch_id`, 'null'), ',"spare_id":', IFNULL(c0.`spare_id`, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), '}'), NULL, LEFT(@cape_tx, 64), @cape_actor, USER() FROM `leaves` c0 JOIN `branches` c1 ON c0.`branch_id` = c1.`id` WHERE c1.`owner_id` = OLD.`id` LOCK IN SHARE MODE;
		SELECT COUNT(*) INTO cape_rows FROM `leaves` c0 WHERE c0.`owner_id` = OLD.`id` AND (EXISTS (SELECT 1 FROM `branches` c1 WHERE c0.`branch_id` = c1.`id` AND c1.`owner_id` = OLD.`id`)) IS NOT TRUE LOCK IN SHARE MODE;
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) SELECT UTC_TIMESTAMP(6), 1, 'leaves', 'U', CONCAT('[', c0.`id`, ']'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"branch_id":', IFNULL(c0.`branch_id`, 'null'), ',"spare_id":', IFNULL(c0.`spare_id`, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), '}'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"branch_id":', IFNULL(c0.`branch_id`, 'null'), ',"spare_id":', IFNULL(IF((EXISTS (SELECT 1 FROM `branches` c1 WHERE c0.`spare_id` = c1.`id` AND c1.`owner_id` = OLD.`id`)) IS TRUE, NULL, c0.`spare_id`), 'null'), ',"owner_id":', IFNULL(IF((c0.`owner_id` = OLD.`id`) IS TRUE, NULL, c0.`owner_id`), 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER() FROM `leaves` c0 WHERE c0.`owner_id` = OLD.`id` AND (EXISTS (SELECT 1 FROM `branches` c1 WHERE c0.`branch_id` = c1.`id` AND c1.`owner_id` = OLD.`id`)) IS NOT TRUE LOCK IN SHARE MODE;
		SELECT COUNT(*) INTO cape_rows FROM `leaves` c0 JOIN `branches` c1 ON c0.`spare_id` = c1.`id` WHERE c1.`owner_id` = OLD.`id` AND (EXISTS (SELECT 1 FROM `branches` c1 WHERE c0.`branch_id` = c1.`id` AND c1.`owner_id` = OLD.`id`)) IS NOT TRUE AND (c0.`owner_id` = OLD.`id`) IS NOT TRUE LOCK IN SHARE MODE;
		INSERT INTO `cape_journal` (`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`) SELECT UTC_TIMESTAMP(6), 1, 'leaves', 'U', CONCAT('[', c0.`id`, ']'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"branch_id":', IFNULL(c0.`branch_id`, 'null'), ',"spare_id":', IFNULL(c0.`spare_id`, 'null'), ',"owner_id":', IFNULL(c0.`owner_id`, 'null'), '}'), CONCAT('{"id":', IFNULL(c0.`id`, 'null'), ',"branch_id":', IFNULL(c0.`branch_id`, 'null'), ',"spare_id":', IFNULL(IF((EXISTS (SELECT 1 FROM `branches` c1 WHERE c0.`spare_id` = c1.`id` AND c1.`owner_id` = OLD.`id`)) IS TRUE, NULL, c0.`spare_id`), 'null'), ',"owner_id":', IFNULL(IF((c0.`owner_id` = OLD.`id`) IS TRUE, NULL, c0.`owner_id`), 'null'), '}'), LEFT(@cape_tx, 64), @cape_actor, USER() FROM `leaves` c0 JOIN `branches` c1 ON c0.`spare_id` = c1.`id` WHERE c1.`owner_id` = OLD.`id` AND (EXISTS (SELECT 1 FROM `branches` c1 WHERE c0.`branch_id` = c1.`id` AND c1.`owner_id` = OLD.`id`)) IS NOT TRUE AND (c0.`owner_id` = OLD.`id`) IS NOT TRUE LOCK IN SHARE MODE;
	END IF;
END;
REPLACE INTO cape_meta (`key`, `value`) VALUES ('journal.table.branches', CONCAT('1 ', TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))));
REPLACE INTO cape_meta (`key`, `value`) VALUES ('journal.table.leaves', CONCAT('1 ', TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))));
REPLACE INTO cape_meta (`key`, `value`) VALUES ('journal.table.foreigners', CONCAT('1 ', TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))));
REPLACE INTO cape_meta (`key`, `value`) VALUES ('journal.table.o''dd "ta-ble', CONCAT('1 ', TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))));
