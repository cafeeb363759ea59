using System.Diagnostics;
using System.IO.MemoryMappedFiles;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace Kwik.Benchmarks;

/// <summary>
/// Ways to bring a file that is served into the buffer that is sent, 64 KiB at a time (ADR 12). The file is in the page
/// cache; each pass opens it anew, but for the mapping that is kept; the ways take turns; medians of all rounds.
/// </summary>
internal static class FileReading
{
    private const int BufferSize = 64 * 1024;
    private const int FileSize = 256 * 1024 * 1024;
    private const int Rounds = 15;

    public static async Task<int> RunAsync(bool json)
    {
        string path = Path.GetTempFileName();
        try
        {
            var content = new byte[FileSize];
            Random.Shared.NextBytes(content);
            await File.WriteAllBytesAsync(path, content);
            long sum = Sum(content);

            using MemoryMappedFile mapped = Map(path);
            using MemoryMappedViewStream kept = View(mapped);
            (string Name, Func<string, byte[], Task<long>> Read)[] ways =
            [
                ("random_access_async", ReadAsync),
                ("random_access", (file, buffer) => Task.FromResult(Read(file, buffer))),
                ("memory_mapped", (file, buffer) => Task.FromResult(ReadMapped(file, buffer))),
                ("memory_mapped_kept", (_, buffer) => Task.FromResult(Read(kept, buffer))),
            ];
            var passes = ways.ToDictionary(way => way.Name, _ => new List<Pass>());
            var buffer = new byte[BufferSize];
            for (int round = 0; round <= Rounds; round++)
            {
                foreach ((string name, Func<string, byte[], Task<long>> read) in ways)
                {
                    Pass pass = await MeasureAsync(() => read(path, buffer), sum);
                    if (round > 0)
                    {
                        passes[name].Add(pass);
                    }
                }
            }

            foreach ((string name, List<Pass> of) in passes)
            {
                double rate = Median(of.Select(pass => FileSize / 1e6 / pass.Seconds));
                double cpu = Median(of.Select(pass => pass.Cpu / (FileSize / 1e9)));
                Console.WriteLine(json
                    ? JsonSerializer.Serialize(new { way = name, megabytes_per_second = Math.Round(rate), cpu_seconds_per_gb = Math.Round(cpu, 3) })
                    : $"{name,-20} {rate,7:0} MB/s  {cpu:0.000} CPU seconds per GB");
            }

            return 0;
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static async Task<Pass> MeasureAsync(Func<Task<long>> read, long expected)
    {
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp();
        long sum = await read();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        double used = (Environment.CpuUsage.TotalTime - cpu).TotalSeconds;
        return sum == expected ? new(seconds, used) : throw new InvalidDataException("What was read is not what was written.");
    }

    private static async Task<long> ReadAsync(string path, byte[] buffer)
    {
        using SafeFileHandle file = File.OpenHandle(path, options: FileOptions.Asynchronous);
        long sum = 0;
        int read;
        for (long offset = 0; (read = await RandomAccess.ReadAsync(file, buffer, offset)) > 0; offset += read)
        {
            sum += Sample(buffer);
        }

        return sum;
    }

    private static long Read(string path, byte[] buffer)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        long sum = 0;
        int read;
        for (long offset = 0; (read = RandomAccess.Read(file, buffer, offset)) > 0; offset += read)
        {
            sum += Sample(buffer);
        }

        return sum;
    }

    private static long ReadMapped(string path, byte[] buffer)
    {
        using MemoryMappedFile file = Map(path);
        using MemoryMappedViewStream view = View(file);
        return Read(view, buffer);
    }

    private static MemoryMappedFile Map(string path) =>
        MemoryMappedFile.CreateFromFile(path, FileMode.Open, mapName: null, capacity: 0, MemoryMappedFileAccess.Read);

    // A stream, because it copies a span at once; SafeBuffer.ReadSpan goes byte by byte.
    private static MemoryMappedViewStream View(MemoryMappedFile file) => file.CreateViewStream(0, FileSize, MemoryMappedFileAccess.Read);

    private static long Read(MemoryMappedViewStream view, byte[] buffer)
    {
        long sum = 0;
        view.Position = 0;
        while (view.Read(buffer) > 0)
        {
            sum += Sample(buffer);
        }

        return sum;
    }

    // A few bytes of each buffer show that it was filled; more would be measured too.
    private static long Sample(ReadOnlySpan<byte> buffer) => buffer[0] + buffer[buffer.Length / 2] + buffer[^1];

    private static long Sum(byte[] content)
    {
        long sum = 0;
        for (int offset = 0; offset < content.Length; offset += BufferSize)
        {
            sum += Sample(content.AsSpan(offset, BufferSize));
        }

        return sum;
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }

    private readonly record struct Pass(double Seconds, double Cpu);
}
