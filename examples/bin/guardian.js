#!/usr/bin/env node
import "../dist/processes/guardian-main.js";
