namespace Kwik.Cli.Report;

/// <summary>One range of a stream that came on one path.</summary>
internal readonly record struct Receipt(double Time, long Stream, int Path, long Offset, long Length);

/// <summary>Something that a reader of the report should see.</summary>
internal sealed record Notice(double Time, string Name, int? Path, long? Stream, string Text);

/// <summary>A path over the run: what it is, and when it stood how.</summary>
internal sealed class PathRecord(int id)
{
    public int Id => id;

    public string Role { get; set; } = "";

    public string Address { get; set; } = "";

    public long Bytes { get; set; }

    public double? RoundTrip { get; set; }

    /// <summary>Times that it was connected again, or that was tried.</summary>
    public int Attempts { get; set; }

    public Buckets Received { get; } = new(sums: true);

    /// <summary>From when on it stood how; the first <see cref="RunRecord.MaxChanges"/>.</summary>
    public List<(double Time, string State)> States { get; } = [];
}

/// <summary>
/// What a qlog says of one run, in bounded memory: at most about 16 MiB, and a page of as much, whatever the file. What is too much is thinned out, and
/// counted.
/// </summary>
internal sealed class RunRecord
{
    public const int MaxPaths = 64;
    public const int MaxChanges = 256;
    public const int MaxNotices = 1000;
    public const int MaxReceipts = 100_000;
    public const int MaxStreams = 4096;

    private readonly Dictionary<int, PathRecord> _paths = [];
    private List<Receipt> _receipts = [];
    private long _receiptsSeen;

    public string Session { get; set; } = "";

    public string Role { get; set; } = "";

    public string Peer { get; set; } = "";

    public string Began { get; set; } = "";

    /// <summary>When the session ended, in its own words; null: the record ends before.</summary>
    public string? Outcome { get; set; }

    /// <summary>Milliseconds from the first event to the last.</summary>
    public double End { get; set; }

    public long Duplicate { get; set; }

    public long Sent { get; set; }

    public long Dropped { get; set; }

    public bool IsTruncated { get; set; }

    public List<double> Stalls { get; } = [];

    public Buckets Pending { get; } = new(sums: false);

    public Buckets HoleAge { get; } = new(sums: false);

    public Buckets Read { get; } = new(sums: false);

    public List<Notice> Notices { get; } = [];

    public long NoticesLeftOut { get; private set; }

    /// <summary>By stream.</summary>
    public Dictionary<long, long> BytesOf { get; } = [];

    public Dictionary<long, long> LengthOf { get; } = [];

    public IReadOnlyList<PathRecord> Paths => [.. _paths.Values.OrderBy(path => path.Id)];

    public IReadOnlyList<Receipt> Receipts => _receipts;

    /// <summary>Of so many pieces each one is in <see cref="Receipts"/>.</summary>
    public int Stride { get; private set; } = 1;

    /// <summary>Null when there are too many.</summary>
    public PathRecord? Path(int id)
    {
        if (!_paths.TryGetValue(id, out PathRecord? path) && _paths.Count < MaxPaths)
        {
            _paths[id] = path = new PathRecord(id);
        }

        return path;
    }

    public void Add(Receipt receipt)
    {
        if (_receiptsSeen++ % Stride != 0)
        {
            return;
        }

        _receipts.Add(receipt);
        if (_receipts.Count == MaxReceipts)
        {
            _receipts = [.. _receipts.Where((_, index) => index % 2 == 0)];
            Stride *= 2;
        }
    }

    public void Add(Notice notice)
    {
        if (Notices.Count < MaxNotices)
        {
            Notices.Add(notice);
        }
        else
        {
            NoticesLeftOut++;
        }
    }
}
