using System.Diagnostics.CodeAnalysis;

namespace Kwik.Streams;

/// <summary>
/// Who may write what into which public stream. The rule that makes untrusted servers safe: a range that is not in this
/// table is not accepted from anybody but the primary's Main stream. Safe for concurrent use.
/// </summary>
internal sealed class StreamMappingManager
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(int Path, long Request), StreamMapping> _expected = [];

    /// <summary>Ranges asked for and not yet ended.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _expected.Count;
            }
        }
    }

    /// <summary>A server is about to be asked for this range.</summary>
    public void Expect(StreamMapping mapping)
    {
        lock (_gate)
        {
            _expected.Add((mapping.PathId, mapping.RequestId), mapping);
        }
    }

    /// <summary>
    /// A server opened a stream in answer to a request. Each request is answered once; false when that path was not
    /// asked for this, or no longer.
    /// </summary>
    public bool TryResolve(int pathId, long requestId, [NotNullWhen(true)] out StreamMapping? mapping)
    {
        lock (_gate)
        {
            return _expected.Remove((pathId, requestId), out mapping);
        }
    }

    /// <summary>The answer is no longer wanted, or will not come. False when it is there already.</summary>
    public bool Forget(StreamMapping mapping) => TryResolve(mapping.PathId, mapping.RequestId, out _);
}
