client "$MARIADB_DATABASE" -e "INSERT INTO visits (what) VALUES ('from the script')"
