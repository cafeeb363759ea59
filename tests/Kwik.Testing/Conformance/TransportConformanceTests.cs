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

    private static byte[] Bytes(int count, int seed = 1)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
