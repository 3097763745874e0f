CREATE TABLE visits (id serial PRIMARY KEY, what text NOT NULL);
INSERT INTO visits (what) VALUES ('from the sql file');
