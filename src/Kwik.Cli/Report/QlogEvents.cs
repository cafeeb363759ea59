using System.Text.Json;
using Kwik.Cli.Output;

namespace Kwik.Cli.Report;

/// <summary>What each event of the schema in docs/observability.md means for a report. Others mean nothing.</summary>
internal static class QlogEvents
{
    public static void Take(RunRecord run, double time, string name, JsonElement data)
    {
        switch (name)
        {
            case "session_started":
                (run.Session, run.Role, run.Peer) = (Text(data, "session_id"), Text(data, "role"), Text(data, "peer"));
                break;
            case "session_ended":
                run.Outcome = Outcome(data);
                Notice(run, time, name, data, run.Outcome);
                break;
            case "path_state_changed":
                TakeState(run, time, data);
                break;
            case "path_ended":
                Notice(run, time, name, data, (IsTrue(data, "isolated") ? "taken out of use: " : "") + Outcome(data));
                break;
            case "content_offered":
                long length = Number(data, "length");
                if (run.LengthOf.Count < RunRecord.MaxStreams)
                {
                    run.LengthOf[Number(data, "stream_id")] = length;
                }

                Notice(run, time, name, data, ByteSize.Format(length));
                break;
            case "stream_opened":
                Notice(run, time, name, data, Text(data, "direction"));
                break;
            case "stream_closed":
                run.Duplicate += Number(data, "duplicate");
                Notice(run, time, name, data, $"{ByteSize.Format(Number(data, "read"))} read, {ByteSize.Format(Number(data, "duplicate"))} came twice");
                break;
            case "data_received":
                TakeReceipt(run, time, data);
                break;
            case "sample":
                TakeSample(run, time, data);
                break;
            case "stall_started":
                Notice(run, time, name, data, $"nothing to read at {Number(data, "offset")}");
                break;
            case "stall_ended":
                double lasted = data.GetProperty("lasted").GetDouble();
                if (run.Stalls.Count < RunRecord.MaxNotices)
                {
                    run.Stalls.Add(lasted);
                }

                Notice(run, time, name, data, $"after {lasted:0} ms");
                break;
            case "range_lost":
                Notice(run, time, name, data, $"{ByteSize.Format(Number(data, "length"))} at {Number(data, "offset")}: {Outcome(data)}");
                break;
            case "fault_treated":
                Notice(run, time, name, data, $"{Text(data, "action")} for {Outcome(data)}");
                break;
            case "rule_broken":
                Notice(run, time, name, data, Outcome(data));
                break;
            case "source_silent" or "source_given_up" or "source_back":
                Notice(run, time, name, data, "");
                break;
            case "range_asked" when Text(data, "why") is "Hedge" or "Duplicate":
                Notice(run, time, name, data, $"{Text(data, "why")}: {ByteSize.Format(Number(data, "length"))} at {Number(data, "offset")}");
                break;
            case "events_dropped":
                run.Dropped += Number(data, "count");
                break;
            case "truncated":
                run.IsTruncated = true;
                break;
        }
    }

    private static void TakeState(RunRecord run, double time, JsonElement data)
    {
        if (run.Path((int)Number(data, "path_id")) is not { } path)
        {
            return;
        }

        // One of ours is a word.
        string state = Text(data, "new")[..Math.Min(32, Text(data, "new").Length)];
        (path.Role, path.Address) = (Text(data, "role"), Text(data, "address"));
        if (path.States.Count == 0)
        {
            path.States.Add((time, Text(data, "old")));
        }

        if (path.States.Count < RunRecord.MaxChanges)
        {
            path.States.Add((time, state));
        }

        if (state == "Recovering")
        {
            path.Attempts++;
        }
        else if (state != "Dead" || Text(data, "old") != "Recovering")
        {
            // What is tried each second is a number, not as many lines.
            Notice(run, time, "path_state_changed", data, $"{Text(data, "old")} to {state}");
        }
    }

    private static void TakeReceipt(RunRecord run, double time, JsonElement data)
    {
        (long stream, long bytes) = (Number(data, "stream_id"), Number(data, "bytes"));
        if (run.Path((int)Number(data, "path_id")) is not { } path)
        {
            return;
        }

        path.Bytes += bytes;
        path.Received.Add(time, bytes);
        if (run.BytesOf.Count < RunRecord.MaxStreams || run.BytesOf.ContainsKey(stream))
        {
            run.BytesOf[stream] = run.BytesOf.GetValueOrDefault(stream) + bytes;
        }

        foreach (JsonElement range in data.GetProperty("ranges").EnumerateArray())
        {
            if (range.GetArrayLength() != 2)
            {
                throw new FormatException("a range has an offset and a length");
            }

            run.Add(new Receipt(time, stream, path.Id, Amount(range[0]), Amount(range[1])));
        }
    }

    private static void TakeSample(RunRecord run, double time, JsonElement data)
    {
        run.Pending.Add(time, Number(data, "pending"));
        run.Sent = Math.Max(run.Sent, Number(data, "sent"));
        foreach (JsonElement one in data.GetProperty("paths").EnumerateArray())
        {
            if (run.Path((int)Number(one, "path_id")) is { } path && one.TryGetProperty("rtt", out JsonElement roundTrip))
            {
                path.RoundTrip = Math.Clamp(roundTrip.GetDouble(), 0, 1e9);
            }
        }

        foreach (JsonElement stream in data.GetProperty("streams").EnumerateArray())
        {
            if (stream.TryGetProperty("hole_age", out JsonElement age))
            {
                run.HoleAge.Add(time, Math.Clamp(age.GetDouble(), 0, 1e12));
            }
        }
    }

    private static void Notice(RunRecord run, double time, string name, JsonElement data, string text) => run.Add(new Notice(
        time,
        name,
        data.TryGetProperty("path_id", out JsonElement path) ? (int)Amount(path) : null,
        data.TryGetProperty("stream_id", out JsonElement stream) ? Amount(stream) : null,
        text));

    private static string Outcome(JsonElement data)
    {
        string error = Text(data, "error");
        string reason = Text(data, "reason");
        string word = error == "None" ? "no error" : error;
        return reason.Length > 0 ? $"{word}. {reason}" : word;
    }

    private static bool IsTrue(JsonElement data, string key) =>
        data.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.True;

    /// <summary>At most 1,024 characters; empty when there is none.</summary>
    private static string Text(JsonElement data, string key)
    {
        string text = data.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";
        return text.Length > 1024 ? text[..1024] : text;
    }

    private static long Number(JsonElement data, string key) => Amount(data.GetProperty(key));

    /// <summary>What Kwik counts: 0 to 2^62.</summary>
    private static long Amount(JsonElement value) => value.GetInt64() is >= 0 and <= 1L << 62 and var amount
        ? amount
        : throw new FormatException("a number is out of range");
}
