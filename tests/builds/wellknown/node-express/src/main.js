const express = require("express");
const port = process.env.PORT || 3000;
express().get("/", (request, response) => response.send("hello\n")).listen(port);
