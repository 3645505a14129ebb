-- wrk sends the deliveries of a file, one a line: signature, tab, body.
local requests, at = {}, 0

function init(args)
  local path = args[2] .. "/webhooks/meta"
  for line in io.lines(args[1]) do
    local tab = line:find("\t", 1, true)
    local headers = {
      ["content-type"] = "application/json",
      ["x-hub-signature-256"] = line:sub(1, tab - 1),
    }
    requests[#requests + 1] = wrk.format("POST", path, headers, line:sub(tab + 1))
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local wrong = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"failed":%d,"p50_ms":%f,"p99_ms":%f}\n',
    summary.requests, summary.duration / 1e6,
    wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
