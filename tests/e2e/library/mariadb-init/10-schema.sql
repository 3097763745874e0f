CREATE TABLE visits (id int AUTO_INCREMENT PRIMARY KEY, what text NOT NULL);
INSERT INTO visits (what) VALUES ('from the sql file');
