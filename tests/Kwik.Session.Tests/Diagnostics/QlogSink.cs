using System.Text.Json;
using Kwik.Sessions;

namespace Kwik.Session.Tests.Diagnostics;

/// <summary>Qlogs in memory: by the name that each would have as a file.</summary>
internal sealed class QlogSink
{
    private readonly Dictionary<string, MemoryStream> _records = [];

    public QlogOptions Options => new() { Open = Open };

    public IReadOnlyCollection<string> Names => _records.Keys;

    /// <summary>Every record of the one whose name contains this, as JSON; checks that the sequence is well-formed.</summary>
    public List<JsonElement> Read(string name)
    {
        byte[] bytes = _records.Single(record => record.Key.Contains(name, StringComparison.Ordinal)).Value.ToArray();
        return Parse(bytes);
    }

    public static List<JsonElement> Parse(byte[] bytes)
    {
        var records = new List<JsonElement>();
        for (int start = 0; start < bytes.Length;)
        {
            Assert.Equal(0x1e, bytes[start]);
            int end = Array.IndexOf(bytes, (byte)'\n', start);
            Assert.True(end > start, "A record ends with a line feed.");
            records.Add(JsonDocument.Parse(bytes.AsMemory(start + 1, end - start - 1)).RootElement);
            start = end + 1;
        }

        return records;
    }

    private MemoryStream Open(string name)
    {
        var stream = new MemoryStream();
        _records.Add(name, stream);
        return stream;
    }
}
