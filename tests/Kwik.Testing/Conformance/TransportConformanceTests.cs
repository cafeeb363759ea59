using Kwik.Streams;

namespace Kwik.Testing;

/// <summary>
/// What every implementation of the transport seam has to do, whatever carries the bytes. Derive from it, say how to run
/// a test, and inherit the tests.
/// </summary>
public abstract partial class TransportConformanceTests
{
    /// <summary>
    /// Runs the test on a network of its own and bounds it in time: inside a simulation, or on real time with
    /// <see cref="TestTimeouts.WithinAsync(Task, TimeSpan?, string)"/>.
    /// </summary>
    internal abstract Task RunAsync(Func<ConformanceNetwork, Task> test);

    /// <summary>
    /// Writes the bytes again and again until a write has to wait for the reader, which it does at last: a transport may take
    /// over some writes whole, however long they are. Returns that write, and how many there are with it.
    /// </summary>
    private static async Task<(Task Pending, int Count)> WriteUntilPendingAsync(
        ConformanceNetwork network, ITransportStream stream, byte[] bytes)
    {
        const int Most = 20;
        for (int count = 1; count <= Most; count++)
        {
            Task write = stream.WriteAsync(bytes).AsTask();
            await network.SettleAsync();
            if (!write.IsCompleted)
            {
                return (write, count);
            }

            await write;
        }

        throw new InvalidOperationException($"{Most} writes of {bytes.Length} bytes were taken, and nobody reads.");
    }

    private static byte[] Bytes(int count, int seed = 1)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
