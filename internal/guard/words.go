package guard

import "strings"

// afterTable tells whether a keyword can follow a table's name in FROM, so that it is no alias.
func afterTable(keyword string) bool {
	return contains(" WHERE JOIN INNER LEFT RIGHT FULL CROSS NATURAL ON USING GROUP ORDER HAVING LIMIT OFFSET FETCH FOR UNION "+
		"INTERSECT EXCEPT WINDOW RETURNING TABLESAMPLE SET ", keyword)
}

// beforeTable tells whether a keyword can stand right before a table's name on MySQL.
func beforeTable(keyword string) bool {
	return contains(" FROM JOIN STRAIGHT_JOIN INTO UPDATE TABLE TABLES IGNORE LOW_PRIORITY HIGH_PRIORITY DELAYED QUICK USING DELETE "+
		"INSERT REPLACE IN DESCRIBE DESC EXPLAIN SHOW ", keyword)
}

// statistics tells whether a table of the database's own holds values of other tables.
func statistics(engine, name string) bool {
	switch engine {
	case "postgres":
		return contains(" pg_statistic pg_statistic_ext_data pg_stats pg_stats_ext pg_stats_ext_exprs pg_largeobject ", name)
	case "mysql":
		return contains(" column_stats ", strings.ToLower(name))
	}
	return contains(" sqlite_stat3 sqlite_stat4 sqlite_dbpage sqlite_dbdata sqlite_dbptr ", strings.ToLower(name))
}

// notFunction tells whether a keyword before a parenthesis calls nothing that a user could have defined.
func notFunction(keyword string) bool {
	return contains(" ALL AND ANY ARRAY AS ASC BETWEEN BY CASE CAST CHAR CHARACTER COALESCE CONFLICT CUBE CURRENT_TIME "+
		"CURRENT_TIMESTAMP DEC DECIMAL DESC DISTINCT ELSE END EXCEPT EXCLUDE EXISTS EXTRACT FILTER FLOAT FOR FROM GREATEST GROUP "+
		"GROUPING HAVING ILIKE IN INSERT INT INTERSECT INTERVAL INTO IS JOIN KEY LATERAL LEAST LIKE LIMIT LOCALTIME "+
		"LOCALTIMESTAMP MATERIALIZED NATIONAL NCHAR NOT NULLIF NUMERIC OF OFFSET ON OR ORDER OVER OVERLAY PARTITION POSITION "+
		"PRECISION REPLACE RETURNING ROLLUP ROW ROWS SELECT SET SETS SIMILAR SOME SUBSTRING TABLE THEN TIME TIMESTAMP TREAT TRIM "+
		"UNION UNIQUE USING VALUE VALUES VARBIT VARCHAR VARYING WHEN WHERE WINDOW WITH WITHIN XMLATTRIBUTES XMLCONCAT XMLELEMENT "+
		"XMLEXISTS XMLFOREST XMLPARSE XMLPI XMLROOT XMLSERIALIZE XMLTABLE ZONE ", keyword)
}

func contains(list, keyword string) bool { return strings.Contains(list, " "+keyword+" ") }

// forbidden tells whether a function of the database runs the SQL of its argument, reads what no rule covers, or
// changes who is taken for the caller.
func forbidden(engine, function string) bool {
	switch engine {
	case "postgres":
		return contains(" cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema database_to_xmlschema dblink "+
			"dblink_exec dblink_open dblink_send_query get_raw_page lo_export lo_get lo_import loread pg_read_binary_file pg_read_file "+
			"pg_logical_slot_get_binary_changes pg_logical_slot_get_changes "+
			"pg_logical_slot_peek_binary_changes pg_logical_slot_peek_changes pg_stat_get_activity query_to_xml query_to_xml_and_xmlschema query_to_xmlschema schema_to_xml "+
			"schema_to_xml_and_xmlschema schema_to_xmlschema set_config table_to_xml table_to_xml_and_xmlschema table_to_xmlschema "+
			"ts_rewrite ts_stat crosstab crosstab2 crosstab3 crosstab4 connectby ", function)
	case "mysql":
		return function == "load_file"
	}
	return contains(" load_extension readfile writefile edit eval fts3_tokenizer ", function)
}

// internals are the database's own tables that show contents of others, or other callers' statements: lists that begin with
// a schema.
func internals(engine string) [][]string {
	switch engine {
	case "postgres":
		return [][]string{{"pg_catalog", "pg_largeobject", "pg_stat_activity", "pg_statistic", "pg_statistic_ext_data", "pg_stats",
			"pg_stats_ext", "pg_stats_ext_exprs"}, {"public", "pg_stat_statements"}}
	case "mysql":
		return [][]string{{"mysql", "column_stats", "general_log", "index_stats", "slow_log"},
			{"information_schema", "COLUMN_STATISTICS", "INNODB_TRX", "PROCESSLIST"},
			{"performance_schema", "events_statements_current", "events_statements_history", "events_statements_history_long",
				"events_statements_summary_by_digest", "processlist", "threads"}}
	}
	return [][]string{{"main", "sqlite_dbpage", "sqlite_stat1", "sqlite_stat3", "sqlite_stat4"}}
}
