using System.Text;
using System.Text.Json;

namespace Kwik.Cli.Report;

/// <summary>
/// Reads a qlog of ours, JSON-SEQ, from anybody: a broken one is told by the number of its line, events that are not known are
/// passed over, and so is a last line that was not written to its end.
/// </summary>
internal static class QlogReader
{
    /// <summary>Bytes of one record.</summary>
    public const int MaxRecord = 1024 * 1024;

    /// <summary>Milliseconds that a run may have lasted: a year.</summary>
    private const double MaxTime = 366.0 * 86_400_000;

    private const byte RecordSeparator = 0x1e;

    /// <exception cref="InvalidDataException">It is no qlog, or broken; the message names the line.</exception>
    public static RunRecord Read(Stream stream)
    {
        var run = new RunRecord();
        var record = new List<byte>();
        byte[] buffer = new byte[64 * 1024];
        int line = 0;
        bool isOpen = false;
        int read;
        while ((read = stream.Read(buffer)) > 0)
        {
            foreach (byte b in buffer.AsSpan(0, read))
            {
                if (b == RecordSeparator)
                {
                    Take(run, record, ref line, isOpen, isLast: false);
                    isOpen = true;
                }
                else if (isOpen && record.Count < MaxRecord)
                {
                    record.Add(b);
                }
                else if (isOpen || line == 0)
                {
                    throw Broken(line + 1, isOpen ? $"a record has more than {MaxRecord} bytes" : "this is no qlog in JSON-SEQ, which begins with a record separator");
                }
            }
        }

        Take(run, record, ref line, isOpen, isLast: true);
        return line > 0 ? run : throw Broken(1, "the file is empty");
    }

    private static void Take(RunRecord run, List<byte> record, ref int line, bool isOpen, bool isLast)
    {
        if (!isOpen)
        {
            return;
        }

        line++;
        byte[] text = [.. record];
        record.Clear();
        if (isLast && !text.Contains((byte)'\n'))
        {
            // RFC 7464: what was not written to its end is passed over.
            run.IsTruncated = true;
            return;
        }

        try
        {
            using JsonDocument json = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 16 });
            if (line == 1)
            {
                TakeHeader(run, json.RootElement);
            }
            else
            {
                TakeEvent(run, json.RootElement);
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException or DecoderFallbackException)
        {
            throw Broken(line, e is KeyNotFoundException ? "something that the event needs is missing" : e.Message.TrimEnd('.'));
        }
    }

    private static InvalidDataException Broken(int line, string what) => new($"Line {line}: {what}.");

    private static void TakeHeader(RunRecord run, JsonElement header)
    {
        bool isSequence = (header.TryGetProperty("qlog_format", out JsonElement format) && format.GetString() == "JSON-SEQ")
            || (header.TryGetProperty("serialization_format", out format) && format.GetString() == "application/qlog+json-seq");
        if (!isSequence)
        {
            throw new FormatException("this is no qlog in JSON-SEQ");
        }

        if (header.TryGetProperty("trace", out JsonElement trace) && trace.TryGetProperty("common_fields", out JsonElement common)
            && common.TryGetProperty("reference_time", out JsonElement reference)
            && reference.TryGetProperty("wall_clock_time", out JsonElement clock))
        {
            run.Began = clock.GetString() ?? "";
        }
    }

    private static void TakeEvent(RunRecord run, JsonElement one)
    {
        string name = one.GetProperty("name").GetString() ?? "";
        double time = run.End;
        if (one.TryGetProperty("time", out JsonElement at))
        {
            time = at.GetDouble();
            if (time is not (>= 0 and <= MaxTime))
            {
                throw new FormatException($"the time {time} is out of range");
            }
        }

        run.End = Math.Max(run.End, time);
        if (name.StartsWith("kwik:", StringComparison.Ordinal))
        {
            QlogEvents.Take(run, time, name["kwik:".Length..], one.GetProperty("data"));
        }
    }
}
