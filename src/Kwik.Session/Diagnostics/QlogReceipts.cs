using System.Text.Json;

namespace Kwik.Sessions;

/// <summary>
/// Tells at once of a piece that a path brings for a stream, and then for 10 ms of all others together, so that the record
/// stays small however fast they come. Safe for concurrent use.
/// </summary>
internal sealed class QlogReceipts(TimeProvider time, Action<string, Action<Utf8JsonWriter>> write)
{
    /// <summary>Ranges told apart in one event; more of them become one with the last.</summary>
    public const int MaxRanges = 8;

    /// <summary>Pairs of stream and path that are gathered for at once; beyond that all are written.</summary>
    private const int MaxPending = 1024;

    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    private readonly Lock _gate = new();
    private readonly Dictionary<(long Stream, int Path), Receipt> _receipts = [];

    private sealed class Receipt
    {
        /// <summary>When the last event was written.</summary>
        public long? Written { get; set; }

        public long Bytes { get; set; }

        public List<(long Offset, long End)> Ranges { get; set; } = new(2);
    }

    public void Add(long streamId, int pathId, long offset, long length)
    {
        if (length <= 0)
        {
            return;
        }

        Action<Utf8JsonWriter>? due;
        bool isFull;
        lock (_gate)
        {
            if (!_receipts.TryGetValue((streamId, pathId), out Receipt? receipt))
            {
                _receipts[(streamId, pathId)] = receipt = new Receipt();
            }

            receipt.Bytes += length;
            Extend(receipt.Ranges, offset, offset + length);
            long now = time.GetTimestamp();
            bool isDue = receipt.Written is not { } written || time.GetElapsedTime(written, now) >= Interval;
            due = isDue ? Take(streamId, pathId, receipt, now) : null;
            isFull = _receipts.Count > MaxPending;
        }

        if (due is not null)
        {
            write("data_received", due);
        }

        if (isFull)
        {
            Flush(forget: true);
        }
    }

    /// <summary>Writes what was gathered, however young.</summary>
    public void Flush(bool forget = false)
    {
        var due = new List<Action<Utf8JsonWriter>>();
        lock (_gate)
        {
            long now = time.GetTimestamp();
            foreach (((long stream, int path), Receipt receipt) in _receipts.Where(pair => pair.Value.Bytes > 0))
            {
                due.Add(Take(stream, path, receipt, now));
            }

            if (forget)
            {
                _receipts.Clear();
            }
        }

        due.ForEach(data => write("data_received", data));
    }

    private static void Extend(List<(long Offset, long End)> ranges, long offset, long end)
    {
        if (ranges.Count > 0 && (ranges[^1].End == offset || ranges.Count == MaxRanges))
        {
            (long first, long last) = ranges[^1];
            ranges[^1] = (Math.Min(first, offset), Math.Max(last, end));
        }
        else
        {
            ranges.Add((offset, end));
        }
    }

    private static Action<Utf8JsonWriter> Take(long streamId, int pathId, Receipt receipt, long now)
    {
        (long bytes, List<(long Offset, long End)> ranges) = (receipt.Bytes, receipt.Ranges);
        (receipt.Written, receipt.Bytes, receipt.Ranges) = (now, 0, new(2));
        return data =>
        {
            data.WriteNumber("stream_id", streamId);
            data.WriteNumber("path_id", pathId);
            data.WriteNumber("bytes", bytes);
            data.WriteStartArray("ranges");
            foreach ((long offset, long end) in ranges)
            {
                data.WriteStartArray();
                data.WriteNumberValue(offset);
                data.WriteNumberValue(end - offset);
                data.WriteEndArray();
            }

            data.WriteEndArray();
        };
    }
}
