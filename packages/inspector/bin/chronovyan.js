#!/usr/bin/env node
// Stands outside of dist, so that it can be linked before anything is built.
import "../dist/internal/bin.js"
