using Kwik.Streams;
using Xunit;

namespace Kwik.Testing;

/// <summary>
/// What code that knows nothing but <see cref="Stream"/> may expect of a public stream, whatever carries it: the contract
/// of the base library for a connected stream that does not seek. Derive from it, say how to join two streams, and inherit
/// the tests.
/// </summary>
public abstract partial class StreamConformanceTests
{
    /// <summary>All ways to read.</summary>
    public static TheoryData<StreamCall> Calls => [.. Enum.GetValues<StreamCall>()];

    /// <summary>All ways to read or to write more than one byte.</summary>
    public static TheoryData<StreamCall> BufferCalls => [.. Enum.GetValues<StreamCall>().Where(call => call != StreamCall.Byte)];

    /// <summary>More bytes than the streams and what is between them hold while nobody reads.</summary>
    protected abstract int Capacity { get; }

    /// <summary>
    /// Runs the test with two streams that are joined, and once more with their parts exchanged and new streams, bounded in
    /// time. Disposes what the test has left.
    /// </summary>
    protected abstract Task RunAsync(Func<KwikStream, KwikStream, Task> test);

    private protected static byte[] Bytes(int count, int seed = 1)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Writes, ends, and leaves the other direction open.</summary>
    private protected static async Task WriteAllAsync(KwikStream stream, byte[] bytes)
    {
        await stream.WriteAsync(bytes);
        stream.CompleteWrites();
    }

    /// <summary>The call has to end as cancelled, by this token.</summary>
    private protected static async Task AssertCancelledAsync(Func<Task> call, CancellationToken token)
    {
        OperationCanceledException e = await Assert.ThrowsAnyAsync<OperationCanceledException>(call);
        Assert.Equal(token, e.CancellationToken);
    }

    private protected static Task AssertDisposedAsync(Func<Task> call) => Assert.ThrowsAsync<ObjectDisposedException>(call);

    /// <summary>
    /// Leaves a write pending that nobody waits for any more. Where bytes leave on their own time, it may still end.
    /// </summary>
    protected virtual async Task FillAsync(KwikStream stream)
    {
        using var cancellation = new CancellationTokenSource();
        Task writing = stream.WriteAsync(new byte[Capacity], cancellation.Token).AsTask();
        Assert.False(writing.IsCompleted);
        await cancellation.CancelAsync();
        await AssertCancelledAsync(() => writing, cancellation.Token);
    }
}
