-- The roles of production, with passwords that are none.
CREATE ROLE pentad_app NOLOGIN;
CREATE ROLE pentad_owner LOGIN PASSWORD 'pentad' IN ROLE pentad_app;
CREATE ROLE pentad_service LOGIN PASSWORD 'pentad' IN ROLE pentad_app;
CREATE DATABASE pentad OWNER pentad_owner;
